import { CallController } from '../../core/time/call-signal.ts';
import { settleWithin } from '../../core/time/waits.ts';
import type { ExpositionFormat } from '../../observe/metrics/exposition.ts';
import type { SessionLease as EngineLease } from '../../pool/members.ts';
import { OptionsError } from '../options-error.ts';
import { BorrowAdmission } from './admission.ts';
import { Autoscaler } from './autoscaler.ts';
import { type BorrowOptions, type CallerOptions, sentHeaders } from './borrow.ts';
import { notStarted, SessionPoolError, shuttingDown } from './errors.ts';
import { poolExposition } from './exposition.ts';
import { HookCaller } from './hooks.ts';
import type { KeyPool } from './key-pool.ts';
import { KeyPools } from './key-pools.ts';
import { BorrowedSession, type PoolLease } from './lease.ts';
import { type MeterAttributes, type PoolMeter, reportPools } from './meter.ts';
import { PoolCounts, type PoolSessionState, poolMetrics, type SessionPoolMetrics } from './metrics.ts';
import { verdictOf } from './open-session.ts';
import type { SessionPoolOptions } from './options.ts';
import { type PoolSizeOptions, sizeProblems } from './pool-size.ts';
import { callToolOf } from './probe.ts';
import { type PoolConfig, readPoolOptions } from './read-options.ts';
import { ReadyWaiters } from './ready-waiters.ts';
import type { PoolClient, PooledSession } from './session.ts';
import type { PoolTool } from './tool-list.ts';
import { TransportParts } from './transport-parts.ts';

type State = 'new' | 'started' | 'stopping' | 'stopped';

const NO_OPTIONS = {};

/**
 * A pool of MCP sessions: each is a client of the MCP SDK on a transport of its own, by default one
 * that signs with SigV4. Sessions are opened, probed, replaced and closed by the engine that the
 * command line uses. No session is used by two callers at once, or by callers of two identities.
 */
export class SessionPool<C extends PoolClient = PoolClient> {
  readonly #config: PoolConfig<C>;
  readonly #hooks: HookCaller;
  readonly #counts = new PoolCounts();
  readonly #parts: TransportParts<C>;
  readonly #keys: KeyPools<C>;
  readonly #readiness: ReadyWaiters;
  #admission: BorrowAdmission;
  #autoscaler: Autoscaler | undefined;
  #state: State = 'new';
  /** Until the next shutdown. */
  #starting: Promise<void> | undefined;
  /** The number of calls of `shutdown`. */
  #shutdowns = 0;
  #stopping: Promise<void> | undefined;
  #isWarm = false;
  #startedAt = 0;

  /**
   * Opens nothing: call `start`.
   * @throws OptionsError with all problems.
   */
  constructor(options: SessionPoolOptions<C>) {
    const config = readPoolOptions(options);
    this.#config = config;
    this.#hooks = new HookCaller(options.hooks);
    this.#parts = new TransportParts(config);
    this.#admission = this.#newAdmission();
    this.#readiness = new ReadyWaiters(config.clock, () => this.isReady());
    this.#keys = new KeyPools({
      config,
      counts: this.#counts,
      hooks: this.#hooks,
      parts: this.#parts,
      onChanged: () => this.#readiness.look(),
      onPause: (ms) => this.#admission.pause(ms),
    });
  }

  /**
   * Opens the minimum of sessions. Resolves when all attempts have ended; a failure is an error of
   * later borrows. Does nothing where the pool is started; after `shutdown`, it starts again.
   * @throws OptionsError or SessionPoolError, where no session can be opened because of the
   * options.
   */
  start(): Promise<void> {
    this.#starting ??= this.#start(this.#stopping);
    return this.#starting;
  }

  async #start(stopping: Promise<void> | undefined): Promise<void> {
    const { clock, endpoint } = this.#config;
    const shutdowns = this.#shutdowns;
    if (!stopping) this.#state = 'started';
    await stopping;
    // Called again while this start waited for the first one to end.
    if (this.#shutdowns !== shutdowns) throw shuttingDown();
    this.#state = 'started';
    this.#startedAt = clock.monotonic();
    this.#admission = this.#newAdmission();
    const pool = this.#keys.open();
    try {
      // Before the first attempt, so that invalid options are reported as such.
      await this.#parts.of(endpoint);
      pool.engine.warm();
      await pool.engine.whenOpened();
    } catch (error) {
      await this.shutdown();
      throw error;
    }
    if (this.#state !== 'started' || this.#keys.main !== pool) throw shuttingDown();
    const { lastFailure } = pool.opener;
    if (pool.engine.count === 0 && isFaultOfProgram(lastFailure)) {
      await this.shutdown();
      throw lastFailure;
    }
    this.#isWarm = true;
    this.#autoscaler = this.#newAutoscaler(pool);
    this.#readiness.look();
  }

  /**
   * Refuses callers, waits for borrowed sessions up to `drainTimeout`, and closes all sessions.
   * Never throws. All calls share one shutdown.
   */
  shutdown(): Promise<void> {
    this.#shutdowns++;
    this.#starting = undefined;
    if (this.#state !== 'started') return this.#stopping ?? Promise.resolve();
    this.#state = 'stopping';
    this.#stopping = this.#shutdown().then(() => {
      this.#stopping = undefined;
      if (this.#state === 'stopping') this.#state = 'stopped';
    });
    return this.#stopping;
  }

  async #shutdown(): Promise<void> {
    const { clock, drainTimeoutMs } = this.#config;
    this.#isWarm = false;
    this.#autoscaler?.stop();
    this.#autoscaler = undefined;
    this.#admission.end();
    this.#readiness.end();
    await this.#keys.close((drained) =>
      drainTimeoutMs > 0 ? settleWithin(clock, drainTimeoutMs, drained) : Promise.resolve(),
    );
    this.#parts.stopAll();
  }

  /** As `shutdown`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  /** True where the pool is started, and the minimum of sessions is open. */
  isReady(): boolean {
    return this.#isWarm && this.#keys.main?.isFilled === true;
  }

  /** True where `gracefulDegradation` is set, and the minimum of sessions could not be opened. */
  isDegraded(): boolean {
    const isGraceful = this.#config.options.gracefulDegradation === true;
    return isGraceful && this.#isWarm && this.#keys.main?.isFilled === false;
  }

  /**
   * True where the circuit breaker of this caller's key refuses to open sessions at this moment.
   * Each key has a breaker of its own.
   * @param caller - Default: the key without an identity.
   * @throws SessionPoolError callback-failed, as `session`.
   */
  isCircuitOpen(caller: CallerOptions = NO_OPTIONS): boolean {
    return this.#keys.find(caller)?.opener.isRefusing === true;
  }

  /** The borrowed sessions and the callers that wait, of all keys. */
  load(): { readonly active: number; readonly waiting: number } {
    const { all } = this.#keys;
    return {
      active: this.#keys.active,
      waiting: all.reduce((total, { engine }) => total + engine.waiting, 0),
    };
  }

  /** True between `start` and `shutdown`. */
  isStarted(): boolean {
    return this.#state === 'started';
  }

  /**
   * Waits until the pool is ready. Never throws.
   * @param timeout - the longest wait in seconds. Default: no limit.
   * @returns false when the time is over, or the pool shuts down.
   */
  waitReady(timeout = Number.POSITIVE_INFINITY): Promise<boolean> {
    return this.#readiness.wait(timeout);
  }

  /**
   * Borrows a session: one that is open, or else a new one, or else the next one that is returned.
   * @throws SessionPoolError; the signal's reason.
   */
  async session(options: BorrowOptions = NO_OPTIONS): Promise<PoolLease<C>> {
    const since = this.#config.clock.monotonic();
    this.#assertStarted();
    options.signal?.throwIfAborted();
    const admission = this.#admission;
    const tenant = admission.enter(options);
    try {
      const { signal } = options;
      const turn = admission.takeTurn(signal, this.#config.limits.waitMs);
      if (turn) await turn;
      const headers = sentHeaders(options.headers);
      const pool = this.#keys.of(options);
      const lease = pool.leaseNow(options.affinityKey) ?? (await this.#leaseLater(pool, signal));
      return this.#lend(pool, lease, options.affinityKey, headers, tenant, since);
    } catch (error) {
      admission.leave(tenant);
      throw error;
    }
  }

  /**
   * As `session`, but undefined where the caller would have to wait for another one, for the rate
   * limit, or where its tenant has no session left. Waits only for a session that it opens.
   */
  async trySession(options: BorrowOptions = NO_OPTIONS): Promise<PoolLease<C> | undefined> {
    const since = this.#config.clock.monotonic();
    this.#assertStarted();
    options.signal?.throwIfAborted();
    const admission = this.#admission;
    let tenant: string | undefined;
    try {
      tenant = admission.enter(options);
      admission.takeTurn(undefined, 0);
      const headers = sentHeaders(options.headers);
      const pool = this.#keys.of(options);
      const lease =
        pool.leaseNow(options.affinityKey) ??
        (pool.engine.canGrow ? await this.#leaseLater(pool, options.signal) : undefined);
      if (lease) return this.#lend(pool, lease, options.affinityKey, headers, tenant, since);
    } catch (error) {
      admission.leave(tenant);
      if (error instanceof SessionPoolError && BUSY.has(error.reason)) return undefined;
      throw error;
    }
    admission.leave(tenant);
    return undefined;
  }

  /** Borrows a session, calls a tool, and returns the session. */
  async callTool(
    name: string,
    args?: Record<string, unknown>,
    options: BorrowOptions = NO_OPTIONS,
  ): Promise<unknown> {
    const lease = await this.session(options);
    try {
      const params = args === undefined ? { name } : { name, arguments: args };
      const { signal } = options;
      return await callToolOf(lease.client, params, signal ? { signal } : {});
    } finally {
      await lease[Symbol.asyncDispose]();
    }
  }

  /** Lists all tools, from the cache of the caller's key where it is fresh. */
  async listTools(options: CallerOptions = NO_OPTIONS): Promise<readonly PoolTool[]> {
    this.#assertStarted();
    options.signal?.throwIfAborted();
    return this.#keys.of(options).tools.get(options.signal ?? new CallController().signal);
  }

  /** Discards the cached lists of tools. */
  invalidateTools(): void {
    for (const pool of this.#keys.all) pool.tools.invalidate();
  }

  /**
   * Changes the sizes. Borrowed sessions beyond a smaller maximum are closed when they are
   * returned.
   * @throws OptionsError
   */
  resize({ minSessions, maxSessions }: PoolSizeOptions): void {
    const { min, max } = this.#keys.size;
    const size = { min: minSessions ?? min, max: maxSessions ?? max };
    const problems = sizeProblems(size);
    if (problems.length > 0) throw new OptionsError('SessionPool.resize', problems);
    if (this.#autoscaler) this.#autoscaler.floor = size.min;
    this.#keys.resize(size);
  }

  /**
   * Replaces all sessions, for example after a change of credentials. Borrowed ones stay usable.
   */
  drain(): void {
    for (const pool of this.#keys.all) pool.engine.drain();
  }

  /**
   * Closes a session; a borrowed one when it is returned.
   * @returns how many were closed: 0 where the session is unknown.
   */
  evict(sessionId: string): number {
    return this.#keys.all.filter((pool) => pool.evict(sessionId)).length;
  }

  /**
   * Closes all sessions of an endpoint; borrowed ones when they are returned.
   * @returns how many were closed.
   */
  evictEndpoint(endpoint: string | URL): number {
    return this.#keys.evictEndpoint(String(endpoint));
  }

  /** Describes the open sessions at this moment. */
  debugSnapshot(): readonly PoolSessionState[] {
    return this.#keys.all.flatMap((pool) => pool.describe());
  }

  /** Returns a detached copy of all numbers. */
  metrics(): SessionPoolMetrics {
    return poolMetrics(this.#counts, {
      keys: this.#keys.all.map((pool) => pool.metrics()),
      active: this.#keys.active,
      total: this.#keys.total,
      tenants: this.#admission.tenants,
      degraded: this.isDegraded(),
      uptimeMs: this.isStarted() ? this.#config.clock.monotonic() - this.#startedAt : 0,
    });
  }

  /**
   * Returns all numbers, also those of each key, as text for Prometheus.
   * @param format - Default: `prometheus`.
   */
  toPrometheus(format: ExpositionFormat = 'prometheus'): string {
    return poolExposition([{ name: undefined, metrics: this.metrics() }], format);
  }

  /**
   * Reports all numbers, also those of each key, with each collection of an OpenTelemetry meter.
   * @returns a function that ends it.
   */
  reportTo(meter: PoolMeter, attributes: MeterAttributes = {}): () => void {
    return reportPools(meter, attributes, () => [{ name: undefined, metrics: this.metrics() }]);
  }

  /** Sets all counts to 0. */
  resetMetrics(): void {
    Object.assign(this.#counts, new PoolCounts());
  }

  #newAdmission(): BorrowAdmission {
    const { clock, rate, tenants } = this.#config;
    return new BorrowAdmission({ clock, rate, tenants, counts: this.#counts, hooks: this.#hooks });
  }

  #newAutoscaler(pool: KeyPool<C>): Autoscaler | undefined {
    const { autoscale: config, clock } = this.#config;
    if (!config) return undefined;
    return new Autoscaler({
      clock,
      config,
      counts: this.#counts,
      hooks: this.#hooks,
      floor: this.#keys.size.min,
      facts: () => pool.scaleFacts(),
      onScale: (min) => {
        const surplus = pool.size.min - min;
        this.#keys.resize({ min, max: this.#keys.size.max });
        if (surplus > 0) pool.retireIdle(surplus, config.scaleDownIdleMs);
      },
    });
  }

  #assertStarted(): void {
    if (this.#state === 'started') return;
    throw this.#state === 'stopping' ? shuttingDown() : notStarted();
  }

  #leaseLater(pool: KeyPool<C>, signal: AbortSignal | undefined): Promise<EngineLease<PooledSession<C>>> {
    this.#assertStarted();
    this.#keys.makeRoomFor(pool);
    return pool.leaseLater(signal ?? new CallController().signal);
  }

  #lend(
    pool: KeyPool<C>,
    lease: EngineLease<PooledSession<C>>,
    affinityKey: string | undefined,
    headers: Readonly<Record<string, string>> | undefined,
    tenant: string | undefined,
    since: number,
  ): PoolLease<C> {
    const { item } = lease;
    try {
      pool.lend(item, affinityKey, headers);
    } catch (error) {
      lease.release('ok');
      throw error;
    }
    const admission = this.#admission;
    const waitMs = this.#config.clock.monotonic() - since;
    this.#counts.borrows++;
    this.#counts.waitMs += waitMs;
    const borrowed = new BorrowedSession(item, waitMs / 1_000, (discard) => {
      admission.leave(tenant);
      this.#counts.returns++;
      const isOpen = pool.takeBack(lease, discard);
      if (this.#hooks.has('onReturn'))
        this.#hooks.call('onReturn', { ...useOf(pool, item.id), broken: item.fault === 'broken' || discard });
      this.#keys.returned();
      return isOpen;
    });
    if (this.#hooks.has('onBorrow'))
      this.#hooks.call('onBorrow', { ...useOf(pool, item.id), waitSeconds: waitMs / 1_000 });
    return borrowed;
  }
}

const useOf = <C extends PoolClient>({ key, active, engine }: KeyPool<C>, sessionId: string) => ({
  sessionId,
  key,
  active,
  idle: Math.max(0, engine.count - active),
});

/** Reasons for which `trySession` returns undefined. */
const BUSY: ReadonlySet<string> = new Set(['exhausted', 'limit-reached', 'tenant-limit', 'rate-limited']);

const isFaultOfProgram = (error: unknown): boolean =>
  error instanceof OptionsError ||
  (error instanceof SessionPoolError && verdictOf(error) === 'final' && error.reason !== 'connect-failed');
