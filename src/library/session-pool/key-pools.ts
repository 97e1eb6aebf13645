import type { Timer } from '../../core/time/clock.ts';
import { SessionQuota } from '../../pool/session-quota.ts';
import type { CallerOptions } from './borrow.ts';
import { sentHeaders } from './borrow.ts';
import { notStarted, SessionPoolError } from './errors.ts';
import type { HookCaller } from './hooks.ts';
import { ANONYMOUS, identityHash, identityHeadersOf, type KeyParts, poolKey, userHash } from './identity.ts';
import { KeyPool } from './key-pool.ts';
import type { PoolCounts } from './metrics.ts';
import type { KeySize } from './pool-size.ts';
import type { PoolConfig } from './read-options.ts';
import type { PoolClient } from './session.ts';
import { type TransportParts, transportKind } from './transport-parts.ts';

export interface KeyPoolsDeps<C extends PoolClient> {
  readonly config: PoolConfig<C>;
  readonly counts: PoolCounts;
  readonly hooks: HookCaller;
  readonly parts: TransportParts<C>;
  readonly onChanged: () => void;
  readonly onPause: (ms: number) => void;
}

/** True where the options of a borrow state neither an identity nor an endpoint. */
const isAnonymous = ({ endpoint, identity, headers, identityHeaders }: CallerOptions): boolean =>
  headers === undefined && identityHeaders === undefined && identity === undefined && endpoint === undefined;

/**
 * The keys of a pool, each with sessions of its own. A key is an endpoint, a user, an identity and
 * a kind of transport.
 */
export class KeyPools<C extends PoolClient> {
  readonly #deps: KeyPoolsDeps<C>;
  readonly #quota: SessionQuota;
  readonly #transport: string;
  /** Least recently used first, but for those that were used since the last search. */
  readonly #pools = new Map<string, KeyPool<C>>();
  /** Evicted keys, until their last session is closed. */
  readonly #leaving = new Set<KeyPool<C>>();
  #size: KeySize;
  #main: KeyPool<C> | undefined;
  #sweeping: Timer | undefined;
  /** Called when no session is borrowed any more. */
  #onDrained: (() => void) | undefined;

  constructor(deps: KeyPoolsDeps<C>) {
    const { limits, maxTotalSessions } = deps.config;
    this.#deps = deps;
    this.#quota = new SessionQuota(maxTotalSessions);
    this.#transport = transportKind(deps.config);
    this.#size = { min: limits.min, max: limits.max };
  }

  /** The key of callers without an identity; undefined while the pool is stopped. */
  get main(): KeyPool<C> | undefined {
    return this.#main;
  }

  get all(): readonly KeyPool<C>[] {
    return [...this.#pools.values()];
  }

  get size(): KeySize {
    return this.#size;
  }

  /** Sessions that are borrowed, also those of keys that were removed. */
  get active(): number {
    let active = 0;
    for (const pool of this.#pools.values()) active += pool.active;
    for (const pool of this.#leaving) active += pool.active;
    return active;
  }

  /** Sessions that are open, being opened or being closed. */
  get total(): number {
    return this.#quota.used;
  }

  /** Creates the key of callers without an identity. */
  open(): KeyPool<C> {
    const { endpoint, headers } = this.#deps.config;
    const parts = { endpoint, user: ANONYMOUS, identity: ANONYMOUS, transport: this.#transport };
    this.#main = this.#add(poolKey(parts), parts, this.#size, headers);
    this.#sweepLater();
    return this.#main;
  }

  /**
   * The key of a caller, which is created where it is new.
   * @throws SessionPoolError not-started, limit-reached, callback-failed.
   */
  of(caller: CallerOptions): KeyPool<C> {
    const main = this.#main;
    if (!main) throw notStarted();
    if (isAnonymous(caller)) return main;
    const { config } = this.#deps;
    const { headers } = caller;
    const parts = this.#partsOf(caller);
    const key = poolKey(parts);
    const own = sentHeaders(headers && identityHeadersOf(headers, config.identityHeaders));
    const opened = own ? { ...config.headers, ...own } : config.headers;
    const existing = this.#pools.get(key);
    if (existing) {
      // The token of an identity may be renewed: new sessions are opened with the latest one.
      if (own) existing.useHeaders(opened);
      return existing;
    }
    if (this.#pools.size >= config.maxKeys) this.#evictOldest();
    const pool = this.#add(key, parts, { min: 0, max: this.#size.max }, opened);
    pool.engine.warm();
    return pool;
  }

  /**
   * The key of a caller; undefined where it is new, or the pool is stopped.
   * @throws SessionPoolError callback-failed.
   */
  find(caller: CallerOptions): KeyPool<C> | undefined {
    return isAnonymous(caller) ? this.#main : this.#pools.get(poolKey(this.#partsOf(caller)));
  }

  #partsOf({ endpoint, identity, headers, identityHeaders }: CallerOptions): KeyParts {
    const { config } = this.#deps;
    const stated = { ...identityHeaders, ...headers };
    return {
      endpoint: endpoint === undefined ? config.endpoint : String(endpoint),
      user: userHash(identity),
      identity: identityHash(stated, config.identityHeaders, config.options.identity?.extractor),
      transport: this.#transport,
    };
  }

  #add(key: string, parts: KeyParts, size: KeySize, headers: Readonly<Record<string, string>>): KeyPool<C> {
    const { config, parts: transports, onChanged, onPause, counts, hooks } = this.#deps;
    const { clock, connectTimeoutMs, options } = config;
    const { auth, warmupHook } = options;
    const opening = { clock, connectTimeoutMs, auth, warmupHook, parts: transports.of };
    const pool = new KeyPool<C>(
      { config, quota: this.#quota, counts, hooks, opening, onChanged, onPause },
      key,
      parts,
      size,
      headers,
    );
    this.#pools.set(key, pool);
    return pool;
  }

  /** @throws SessionPoolError limit-reached where all keys are in use. */
  #evictOldest(): void {
    const unused = this.all.filter((pool) => pool !== this.#main && pool.isUnused);
    const [oldest] = unused.sort((one, other) => one.usedAt - other.usedAt);
    const { maxKeys } = this.#deps.config;
    if (!oldest)
      throw new SessionPoolError(
        'limit-reached',
        'maxKeys',
        `All ${maxKeys} keys of the session pool are in use (maxKeys): raise maxKeys, or use fewer identities at once.`,
        { retryAfterMs: 1_000 },
      );
    this.#remove(oldest);
  }

  /** Removes a key. Its sessions are closed, borrowed ones when they are returned. */
  #remove(pool: KeyPool<C>): void {
    const { counts } = this.#deps;
    this.#pools.delete(pool.key);
    this.#leaving.add(pool);
    counts.keysEvicted++;
    void pool.engine.end().then(() => this.#leave(pool));
  }

  /** Called when a session of a removed key has been closed. */
  #leave(pool: KeyPool<C>): void {
    if (pool.active > 0 || pool.engine.size > 0 || !this.#leaving.delete(pool)) return;
    const { endpoint } = pool.parts;
    const isUsed =
      endpoint === this.#deps.config.endpoint ||
      [...this.#pools.values(), ...this.#leaving].some((other) => other.parts.endpoint === endpoint);
    if (!isUsed) this.#deps.parts.stop(endpoint);
  }

  /**
   * If the maximum number of sessions is open, closes the one of another key that is idle longest.
   */
  makeRoomFor(pool: KeyPool<C>): void {
    if (this.#quota.used < this.#quota.max || pool.engine.size >= this.#size.max) return;
    let oldest: KeyPool<C> | undefined;
    let since = Number.POSITIVE_INFINITY;
    for (const other of this.#pools.values()) {
      const unusedSince = other === pool ? undefined : other.surplusSince;
      if (unusedSince === undefined || unusedSince >= since) continue;
      oldest = other;
      since = unusedSince;
    }
    oldest?.retireIdle(1, 0);
  }

  resize(size: KeySize): void {
    this.#size = size;
    for (const pool of this.#pools.values())
      pool.resize(pool === this.#main ? size : { min: 0, max: size.max });
  }

  evictEndpoint(endpoint: string): number {
    let closed = 0;
    for (const pool of this.all) {
      if (pool.parts.endpoint !== endpoint) continue;
      closed += pool.engine.count;
      if (pool === this.#main) for (const { item } of pool.engine.serving) pool.evict(item.id);
      else this.#remove(pool);
    }
    return closed;
  }

  /** A session was returned. */
  returned(): void {
    for (const pool of this.#leaving) {
      // The engine closes the session first.
      if (pool.active === 0) void pool.engine.end().then(() => this.#leave(pool));
    }
    if (this.#onDrained && this.active === 0) this.#onDrained();
  }

  /**
   * Refuses callers, and closes all sessions when the wait for borrowed ones is over.
   * @param wait - waits for borrowed sessions within the drain time.
   */
  async close(wait: (drained: Promise<void>) => Promise<unknown>): Promise<void> {
    this.#sweeping?.cancel();
    this.#sweeping = undefined;
    const pools = [...this.#pools.values(), ...this.#leaving];
    const ended = pools.map(({ engine }) => engine.end());
    if (this.active > 0) {
      const drained = new Promise<void>((resolve) => {
        this.#onDrained = resolve;
      });
      await wait(drained);
      this.#onDrained = undefined;
    }
    await Promise.all([...ended, ...pools.map(({ engine }) => engine.close())]);
    this.#pools.clear();
    this.#leaving.clear();
    this.#main = undefined;
  }

  /** Evicts keys that were unused for too long. */
  #sweepLater(): void {
    const { clock, keyIdleMs } = this.#deps.config;
    if (keyIdleMs === 0) return;
    this.#sweeping = clock.schedule(
      keyIdleMs / 2,
      () => {
        const oldest = clock.monotonic() - keyIdleMs;
        for (const pool of this.all)
          if (pool !== this.#main && pool.isUnused && pool.usedAt <= oldest) this.#remove(pool);
        this.#sweepLater();
      },
      { keepAlive: false },
    );
  }
}
