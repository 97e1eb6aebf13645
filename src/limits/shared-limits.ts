import { createHash, randomUUID } from 'node:crypto';
import type { Events } from '../core/pipeline/events.ts';
import type { ConcurrencyLimiter, LimiterOptions, RateLimiter } from '../core/pipeline/limits.ts';
import type { Clock } from '../core/time/clock.ts';
import type { BucketLimit } from './rate-bucket.ts';
import { readRedisUrl } from './redis-url.ts';
import { SharedConcurrency } from './shared-concurrency.ts';
import { SharedRate } from './shared-rate.ts';
import type { LimitStore, StoreDeps } from './store.ts';
import { StoreLink } from './store-link.ts';

export interface SharedLimitsOptions {
  /** The place of the store, for texts. */
  readonly where: string;
  /** Connects to the store; called with the first call. */
  readonly open: (deps: StoreDeps) => LimitStore | Promise<LimitStore>;
  /** The limits of different endpoints are different limits. */
  readonly endpoint: URL;
  readonly minReplicas: number;
  readonly clock: Clock;
  readonly events: Events;
}

/** Characters of the hash of an endpoint in keys. */
const HASH_CHARACTERS = 12;

/** The limits that this process shares with others. Connects to their store with the first call. */
export class SharedLimits {
  readonly #link: StoreLink;
  readonly #options: SharedLimitsOptions;
  readonly #replica = randomUUID().slice(0, 18);
  readonly #scope: string;
  readonly #concurrency = new Map<string, SharedConcurrency>();
  readonly #reported = new Set<string>();

  constructor(options: SharedLimitsOptions) {
    const { where, open, endpoint, clock, events, minReplicas } = options;
    this.#options = options;
    this.#scope = createHash('sha256')
      .update(`${endpoint.origin}${endpoint.pathname}${endpoint.search}`)
      .digest('hex')
      .slice(0, HASH_CHARACTERS);
    this.#link = new StoreLink({
      open: async () =>
        open({
          replica: this.#replica,
          onFree: (key) => this.#concurrency.get(key)?.wake(),
          onError: (error) => this.#link.noteError(error),
          random: () => clock.random(),
        }),
      where,
      minReplicas,
      clock,
      events,
    });
  }

  rate(key: string, limit: BucketLimit): RateLimiter {
    const { clock, events } = this.#options;
    const own = `${limit.ratePerSecond}/${limit.burst}`;
    return new SharedRate({
      key: this.#keyOf(key),
      limit,
      link: this.#link,
      clock,
      onOtherLimit: (other) => {
        if (this.#reported.has(other)) return;
        this.#reported.add(other);
        events.emit({
          type: 'limits.differ',
          message: `Another process that shares these --limits has --rate-limit/--rate-burst ${other}, and this one has ${own}. Each obeys its own, so the rate lies between the two. Give all the same values, or each fleet a prefix of its own: --limits redis://host/?prefix=name.`,
        });
      },
    });
  }

  concurrency(key: string, options: LimiterOptions): ConcurrencyLimiter {
    const name = this.#keyOf(key);
    const limiter = new SharedConcurrency({ key: name, replica: this.#replica, link: this.#link, options });
    this.#concurrency.set(name, limiter);
    return limiter;
  }

  /** Undefined before the first call. */
  get mode(): 'shared' | 'local' | undefined {
    const { isShared } = this.#link;
    return isShared === undefined ? undefined : isShared ? 'shared' : 'local';
  }

  /** Ends the connections. */
  close(): Promise<void> {
    return this.#link.close();
  }

  #keyOf(key: string): string {
    return `${this.#scope}:${key}`;
  }
}

/** The options of limits in Redis. */
export interface RedisLimitsOptions extends Omit<SharedLimitsOptions, 'where' | 'open'> {
  /** A valid value of `--limits`. */
  readonly url: string;
}

/** Shares the limits through the Redis server of `--limits`. */
export function redisLimits({ url, ...options }: RedisLimitsOptions): SharedLimits {
  const read = readRedisUrl(url);
  if ('problem' in read) throw new TypeError(`--limits ${read.problem}`);
  const { target } = read;
  return new SharedLimits({
    ...options,
    where: target.nodes.map(({ host, port }) => `${host}:${port}`).join(', '),
    open: async (deps) => {
      const { redisStore } = await import('./redis-store.ts');
      return redisStore(target, deps);
    },
  });
}
