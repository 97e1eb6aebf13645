import { ERROR_SOURCE } from '../../core/errors/errors.ts';
import { isObject } from '../../core/jsonrpc/message.ts';
import type { ExpositionFormat } from '../../observe/metrics/exposition.ts';
import type { BorrowOptions, CallerOptions } from './borrow.ts';
import { SessionPoolError, type SessionPoolReason } from './errors.ts';
import { type NamedPoolMetrics, poolExposition } from './exposition.ts';
import type { PoolLease } from './lease.ts';
import { type MeterAttributes, type PoolMeter, reportPools } from './meter.ts';
import type { PoolSessionState, SessionPoolMetrics } from './metrics.ts';
import type { PoolClient } from './session.ts';
import type { SessionPool } from './session-pool.ts';
import type { PoolTool } from './tool-list.ts';

/**
 * How a manager chooses a pool. `round-robin`: in turn. `failover`: the first that is usable.
 * `least-connections`: the one with the fewest borrowed sessions and waiting callers.
 */
export type PoolStrategy = 'round-robin' | 'failover' | 'least-connections';

/** The options of a `PoolManager`. */
export interface PoolManagerOptions {
  /** Default: `round-robin`. */
  readonly strategy?: PoolStrategy | undefined;
}

const STRATEGIES: readonly string[] = ['round-robin', 'failover', 'least-connections'];

/** Refusals of one pool after which another pool may serve the caller. */
const NEXT_MAY_SERVE: ReadonlySet<SessionPoolReason> = new Set<SessionPoolReason>([
  'not-started',
  'shutting-down',
  'exhausted',
  'limit-reached',
  'connect-failed',
  'circuit-open',
]);

/** Several pools with names. A borrow that one pool refuses goes to the next. */
export class PoolManager<C extends PoolClient = PoolClient> {
  readonly #pools = new Map<string, SessionPool<C>>();
  readonly #strategy: PoolStrategy;
  #isStarted = false;
  #turn = 0;

  /** @throws SessionPoolError invalid-argument */
  constructor({ strategy = 'round-robin' }: PoolManagerOptions = {}) {
    if (!STRATEGIES.includes(strategy))
      throw new SessionPoolError(
        'invalid-argument',
        'strategy',
        `strategy must be one of ${STRATEGIES.join(', ')}, not ${JSON.stringify(strategy)}`,
      );
    this.#strategy = strategy;
  }

  /** The names of the pools, in the order in which they were added. */
  get names(): readonly string[] {
    return [...this.#pools.keys()];
  }

  /**
   * Adds a pool, and starts it where the manager is started.
   * @throws SessionPoolError invalid-argument where the name is in use; as `start` of the pool.
   */
  async add(name: string, pool: SessionPool<C>): Promise<void> {
    if (this.#pools.has(name))
      throw new SessionPoolError(
        'invalid-argument',
        'name',
        `The manager already has a pool ${JSON.stringify(name)}.`,
      );
    this.#pools.set(name, pool);
    if (this.#isStarted) await pool.start();
  }

  /** @throws SessionPoolError invalid-argument where no pool has this name. */
  get(name: string): SessionPool<C> {
    const pool = this.#pools.get(name);
    if (pool) return pool;
    throw new SessionPoolError(
      'invalid-argument',
      'name',
      `The manager has no pool ${JSON.stringify(name)}.`,
    );
  }

  /** Removes a pool and shuts it down. @throws as `get`. */
  async remove(name: string): Promise<void> {
    const pool = this.get(name);
    this.#pools.delete(name);
    await pool.shutdown();
  }

  /**
   * Starts all pools at once.
   * @throws AggregateError after all have ended, with the errors of those that could not start.
   */
  async start(): Promise<void> {
    this.#isStarted = true;
    const started = await Promise.allSettled([...this.#pools.values()].map((pool) => pool.start()));
    const errors = started.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} pools could not start`);
  }

  /** Shuts all pools down at once. Never throws. */
  async shutdown(): Promise<void> {
    this.#isStarted = false;
    await Promise.all([...this.#pools.values()].map((pool) => pool.shutdown()));
  }

  /** As `shutdown`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  /**
   * Borrows a session of the pool that the strategy chooses, or of the next one.
   * @throws SessionPoolError of the last pool; the signal's reason.
   */
  session(options?: BorrowOptions): Promise<PoolLease<C>> {
    return this.#tryEach(options, (pool) => pool.session(options), mayServe);
  }

  /**
   * Calls a tool on a session of the pool that the strategy chooses. The next pool calls it only
   * where the call was certainly not sent.
   */
  callTool(name: string, args?: Record<string, unknown>, options?: BorrowOptions): Promise<unknown> {
    return this.#tryEach(
      options,
      (pool) => pool.callTool(name, args, options),
      (error) => mayServe(error) || isUnsent(error),
    );
  }

  /** Lists the tools of one pool. @throws as `get`; as `listTools` of the pool. */
  async listTools(name: string, options?: CallerOptions): Promise<readonly PoolTool[]> {
    return this.get(name).listTools(options);
  }

  /** The numbers of each pool, by its name. */
  metrics(): Readonly<Record<string, SessionPoolMetrics>> {
    return Object.fromEntries([...this.#pools].map(([name, pool]) => [name, pool.metrics()]));
  }

  /** As `toPrometheus` of a pool, with the label `pool`. */
  toPrometheus(format: ExpositionFormat = 'prometheus'): string {
    return poolExposition(this.#namedMetrics(), format);
  }

  /** As `reportTo` of a pool, for all pools, with the attribute `mcp.session_pool.name`. */
  reportTo(meter: PoolMeter, attributes: MeterAttributes = {}): () => void {
    return reportPools(meter, attributes, () => this.#namedMetrics());
  }

  #namedMetrics(): NamedPoolMetrics[] {
    return [...this.#pools].map(([name, pool]) => ({ name, metrics: pool.metrics() }));
  }

  /** The sessions of each pool, by its name. */
  debugSnapshot(): Readonly<Record<string, readonly PoolSessionState[]>> {
    return Object.fromEntries([...this.#pools].map(([name, pool]) => [name, pool.debugSnapshot()]));
  }

  async #tryEach<T>(
    caller: CallerOptions | undefined,
    use: (pool: SessionPool<C>) => Promise<T>,
    goesOn: (error: unknown) => boolean,
  ): Promise<T> {
    let refusal: unknown;
    for (const pool of this.#inOrder(caller)) {
      try {
        return await use(pool);
      } catch (error) {
        if (!goesOn(error)) throw error;
        refusal = error;
      }
    }
    throw (
      refusal ?? new SessionPoolError('invalid-argument', 'add', 'The manager has no pools: call add first.')
    );
  }

  /** Usable pools first, in the order of the strategy; the others are a last resort. */
  *#inOrder(caller: CallerOptions | undefined): Generator<SessionPool<C>, void> {
    const pools = [...this.#pools.values()];
    const ordered = this.#strategy === 'round-robin' ? rotated(pools, this.#turn++) : pools;
    if (this.#strategy === 'least-connections') ordered.sort((one, other) => loadOf(one) - loadOf(other));
    const others: SessionPool<C>[] = [];
    // Checked here, because its state may have changed while another pool was tried.
    for (const pool of ordered) {
      if (isUsable(pool, caller)) yield pool;
      else others.push(pool);
    }
    yield* others;
  }
}

const isUsable = <C extends PoolClient>(pool: SessionPool<C>, caller: CallerOptions | undefined): boolean =>
  pool.isStarted() && !pool.isDegraded() && !pool.isCircuitOpen(caller);

function loadOf<C extends PoolClient>(pool: SessionPool<C>): number {
  const { active, waiting } = pool.load();
  return active + waiting;
}

function rotated<T>(list: readonly T[], by: number): T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

const mayServe = (error: unknown): boolean =>
  error instanceof SessionPoolError && NEXT_MAY_SERVE.has(error.reason);

/** True for an error of the proxy that states that the call has not run. */
function isUnsent(error: unknown): boolean {
  const data = error instanceof Error ? (error as { data?: unknown }).data : undefined;
  return isObject(data) && data.source === ERROR_SOURCE && data.mayHaveRun === false;
}
