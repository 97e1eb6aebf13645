import type { SessionCloseReason, SessionOpenReason } from '../../core/pipeline/events.ts';
import { settleWithin } from '../../core/time/waits.ts';
import type { ProbeResult } from '../../pool/health.ts';
import type { SessionLease as EngineLease } from '../../pool/members.ts';
import { Pool } from '../../pool/pool.ts';
import type { SessionQuota } from '../../pool/session-quota.ts';
import { AffinityKeys } from './affinity-keys.ts';
import type { ScaleFacts } from './autoscaler.ts';
import { applyHeaders } from './borrow.ts';
import { SESSION_POOL_ERRORS } from './engine-errors.ts';
import { connectFailed, shuttingDown } from './errors.ts';
import { fetchTools } from './fetch-tools.ts';
import type { HookCaller, PoolCloseReason } from './hooks.ts';
import type { KeyParts } from './identity.ts';
import { type PoolCounts, type PoolKeyMetrics, type PoolSessionState, sessionState } from './metrics.ts';
import type { TransportObserver } from './observed-transport.ts';
import type { OpenSessionDeps } from './open-session.ts';
import { withPlatformSignal } from './platform-signal.ts';
import type { KeySize } from './pool-size.ts';
import { probeBy } from './probe.ts';
import type { PoolConfig } from './read-options.ts';
import type { PoolClient, PooledSession } from './session.ts';
import { SessionOpener } from './session-opener.ts';
import { PoolToolList } from './tool-list.ts';

export interface KeyPoolDeps<C extends PoolClient> {
  readonly config: PoolConfig<C>;
  readonly quota: SessionQuota;
  readonly counts: PoolCounts;
  readonly hooks: HookCaller;
  readonly opening: OpenSessionDeps<C>;
  /** A session was opened or has ended. */
  readonly onChanged: () => void;
  /** The server requested a pause. */
  readonly onPause: (ms: number) => void;
}

/** Time limit for closing a session; after it, the slot is free. */
const MAX_CLOSE_MS = 5_000;

/** The sessions of one key. It uses the same pool engine as the command line. */
export class KeyPool<C extends PoolClient> {
  readonly key: string;
  readonly parts: KeyParts;
  readonly engine: Pool<PooledSession<C>>;
  readonly opener: SessionOpener<C>;
  readonly tools: PoolToolList;
  readonly #deps: KeyPoolDeps<C>;
  readonly #affinity = new AffinityKeys<C>();
  #size: KeySize;
  /** True if a session was lost since the last opening. */
  #hasLost = false;
  /**
   * The headers of requests that belong to no borrow: those of the pool, and of the key's caller.
   */
  #headers: Readonly<Record<string, string>>;
  /** When a caller used it last, on the monotonic clock. */
  usedAt: number;
  /** Sessions that are borrowed. */
  active = 0;
  /** Callers that wait for a session, or whose session has not been passed to them yet. */
  #borrowing = 0;
  hits = 0;
  misses = 0;

  constructor(
    deps: KeyPoolDeps<C>,
    key: string,
    parts: KeyParts,
    size: KeySize,
    headers: Readonly<Record<string, string>>,
  ) {
    const { config, quota, hooks, counts } = deps;
    const { clock } = config;
    this.#deps = deps;
    this.key = key;
    this.parts = parts;
    this.#size = size;
    this.#headers = headers;
    this.usedAt = clock.monotonic();
    this.opener = new SessionOpener({ config, key, counts, hooks, opening: deps.opening });
    this.tools = new PoolToolList({
      clock,
      ttlMs: config.toolCacheTtlMs,
      counts,
      fetch: (signal) => fetchTools(this.engine, signal),
      onChanged: (schemaHash) => hooks.call('onSchemaChanged', { key, schemaHash }),
    });
    this.engine = new Pool<PooledSession<C>>({
      limits: { ...config.limits, ...size },
      clock,
      quota,
      overlap: 0,
      open: (signal, reason) => this.#open(signal, reason),
      close: (session, reason) => this.#close(session, reason),
      probe: (session, method, signal) => this.#probe(session, method, signal),
      onChecked: (session, healthy, error) => {
        counts.healthChecks++;
        if (healthy) return;
        counts.healthCheckFailures++;
        hooks.call('onHealthCheckFailed', { sessionId: session.id, key, error });
      },
      onOpened: deps.onChanged,
      refusal: (failure) => connectFailed(failure),
      errors: SESSION_POOL_ERRORS,
    });
  }

  get size(): KeySize {
    return this.#size;
  }

  /** True where no caller has or waits for a session. */
  get isUnused(): boolean {
    return this.active === 0 && this.#borrowing === 0 && this.engine.waiting === 0;
  }

  /** True where as many sessions as the minimum serve. */
  get isFilled(): boolean {
    return this.engine.count >= this.#size.min;
  }

  /** The headers of requests that belong to no borrow. */
  useHeaders(headers: Readonly<Record<string, string>>): void {
    this.#headers = headers;
  }

  resize(size: KeySize): void {
    this.#size = size;
    this.engine.resize(size);
  }

  /** Leases a session that is open and unused. */
  leaseNow(affinityKey: string | undefined): EngineLease<PooledSession<C>> | undefined {
    const { engine } = this;
    const sticky = this.#affinity.find(affinityKey);
    const lease = (sticky && engine.leaseItem(sticky)) ?? engine.leaseNow(this.#affinity.preference);
    if (lease) {
      this.#borrowing++;
      this.hits++;
      this.#deps.counts.hits++;
    }
    return lease;
  }

  /** Leases a session that is opened or returned. */
  async leaseLater(signal: AbortSignal): Promise<EngineLease<PooledSession<C>>> {
    this.misses++;
    this.#borrowing++;
    try {
      return await this.engine.lease(signal);
    } catch (error) {
      this.#borrowing--;
      throw error;
    }
  }

  /** Prepares a leased session for its borrower. @throws SessionPoolError */
  lend(
    session: PooledSession<C>,
    affinityKey: string | undefined,
    headers: Readonly<Record<string, string>> | undefined,
  ): void {
    this.#borrowing--;
    // Shutdown may have closed it before its borrower's turn.
    if (session.ended === 'closed') throw shuttingDown();
    if (headers) applyHeaders(session, headers, this.#headers);
    this.#affinity.attach(session, affinityKey);
    this.active++;
    this.usedAt = this.#deps.config.clock.monotonic();
  }

  /** Takes a session back. @returns false where `shutdown` has closed it. */
  takeBack(lease: EngineLease<PooledSession<C>>, discard: boolean): boolean {
    const session = lease.item;
    const wasCut = session.ended === 'closed';
    const isBroken = discard || session.fault === 'broken';
    this.active--;
    this.usedAt = this.#deps.config.clock.monotonic();
    if (!isBroken) {
      session.fault = undefined;
      if (session.hasHeaders) session.setHeaders(this.#headers, false);
    }
    lease.release(isBroken ? 'broken' : 'ok');
    return !wasCut;
  }

  /** Closes the session with this id, when it is unused. @returns false where it is unknown. */
  evict(id: string): boolean {
    const found = this.engine.serving.find(({ item }) => item.id === id);
    if (!found) return false;
    found.item.closeReason = 'evicted';
    return this.engine.retire(found.item, 'drain');
  }

  /** The facts by which the autoscaler decides. */
  scaleFacts(): Omit<ScaleFacts, 'averageWaitMs' | 'floor'> {
    const [oldest] = this.#unused;
    const longestIdleMs = oldest ? this.#deps.config.clock.monotonic() - oldest.usedAt : 0;
    return { ...this.#size, active: this.active, open: this.engine.count, longestIdleMs };
  }

  /** Longest unused first. */
  get #unused() {
    return this.engine.serving.filter(({ uses }) => uses === 0);
  }

  /** Closes up to `most` sessions that were unused for `idleMs`, longest unused first. */
  retireIdle(most: number, idleMs: number): void {
    const latest = this.#deps.config.clock.monotonic() - idleMs;
    const idle = this.#unused.filter(({ usedAt }) => usedAt <= latest);
    for (const { item } of idle.slice(0, Math.max(0, most))) this.engine.retire(item, 'idle');
  }

  /** The last use of the session that is idle longest; undefined if the minimum needs it. */
  get surplusSince(): number | undefined {
    if (this.engine.count <= this.#size.min) return undefined;
    return this.#unused[0]?.usedAt;
  }

  metrics(): PoolKeyMetrics {
    const { engine, active, hits, misses } = this;
    const { endpoint, user, identity } = this.parts;
    return {
      key: this.key,
      endpoint,
      user,
      identity,
      active,
      idle: Math.max(0, engine.count - active),
      waiting: engine.waiting,
      maxSessions: this.#size.max,
      hits,
      misses,
      circuit: this.opener.circuit,
    };
  }

  describe(): PoolSessionState[] {
    const now = this.#deps.config.clock.monotonic();
    return this.engine.serving.map((member) => sessionState(member, this.key, now));
  }

  async #open(signal: AbortSignal, reason: SessionOpenReason): Promise<PooledSession<C>> {
    const { endpoint } = this.parts;
    const observe = (session: () => PooledSession<C> | undefined) => this.#observer(session);
    // The engine reports the first opening as a recovery, too.
    const cause = reason === 'recovery' && !this.#hasLost ? 'demand' : reason;
    this.#hasLost = false;
    return this.opener.open({ endpoint, headers: this.#headers, observe }, cause, signal);
  }

  /** Observes the transport of a session, also while it is opened. */
  #observer(session: () => PooledSession<C> | undefined): TransportObserver {
    return {
      onFault: (fault) => {
        const found = session();
        if (found && found.fault !== 'broken') found.fault = fault;
      },
      onClosed: () => {
        const found = session();
        if (!found || found.ended) return;
        this.#hasLost = true;
        this.#ended(found, 'lost');
        this.engine.lose(found);
      },
      onPause: this.#deps.onPause,
      onToolsChanged: () => this.tools.invalidate(),
    };
  }

  async #close(session: PooledSession<C>, reason: SessionCloseReason): Promise<void> {
    if (!session.ended) this.#ended(session, session.closeReason ?? (reason as PoolCloseReason));
    await settleWithin(this.#deps.config.clock, MAX_CLOSE_MS, session.close());
  }

  #ended(session: PooledSession<C>, reason: PoolCloseReason): void {
    const { counts, hooks } = this.#deps;
    session.ended = reason;
    this.#affinity.detach(session);
    counts.sessionsDestroyed++;
    if (reason === 'recycled' || reason === 'expired') counts.recycled++;
    // Deferred, because a hook may borrow while the engine decides.
    queueMicrotask(() => {
      hooks.call('onSessionDestroyed', { sessionId: session.id, key: this.key, reason });
      this.#deps.onChanged();
    });
  }

  async #probe(session: PooledSession<C>, method: string, signal: AbortSignal): Promise<ProbeResult> {
    const { healthProbe } = this.#deps.config.options;
    return withPlatformSignal(signal, async (platform) => {
      if (!healthProbe) return probeBy(session.client, method, platform);
      if (await healthProbe(session.client, platform)) return 'answered';
      throw new Error('healthProbe returned false');
    });
  }
}
