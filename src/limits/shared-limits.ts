import { createHash, randomUUID } from 'node:crypto';
import type { Events } from '../core/pipeline/events.ts';
import type { ConcurrencyLimiter, LimiterOptions, RateLimiter } from '../core/pipeline/limits.ts';
import type { Clock } from '../core/time/clock.ts';
import { Link } from './link.ts';
import type { BucketLimit } from './rate-bucket.ts';
import { type RedisTarget, readRedisUrl } from './redis-url.ts';
import { SharedConcurrency } from './shared-concurrency.ts';
import { SharedRate } from './shared-rate.ts';
import type { LimitStore, StoreDeps } from './store.ts';

export interface SharedLimitsOptions {
  /** A valid value of `--limits`. */
  readonly url: string;
  /** The limits of different endpoints are different limits. */
  readonly endpoint: URL;
  readonly minReplicas: number;
  readonly clock: Clock;
  readonly events: Events;
}

/** Opens the store of a target; replaced in tests. */
export type OpenStore = (target: RedisTarget, deps: StoreDeps) => Promise<LimitStore>;

const openRedis: OpenStore = async (target, deps) => {
  const { redisStore } = await import('./redis-store.ts');
  return redisStore(target, deps);
};

/** Characters of a hash that tell endpoints apart. */
const HASH_CHARACTERS = 12;

/** The limits that this process shares with others through Redis. Connects with the first call. */
export class SharedLimits {
  readonly #link: Link;
  readonly #options: SharedLimitsOptions;
  readonly #replica = randomUUID().slice(0, 18);
  readonly #scope: string;
  readonly #concurrency = new Map<string, SharedConcurrency>();
  readonly #reported = new Set<string>();

  constructor(options: SharedLimitsOptions, openStore: OpenStore = openRedis) {
    const { url, endpoint, clock, events, minReplicas } = options;
    const read = readRedisUrl(url);
    if ('problem' in read) throw new TypeError(`--limits ${read.problem}`);
    const { target } = read;
    this.#options = options;
    this.#scope = createHash('sha256')
      .update(`${endpoint.origin}${endpoint.pathname}${endpoint.search}`)
      .digest('hex')
      .slice(0, HASH_CHARACTERS);
    this.#link = new Link({
      open: () =>
        openStore(target, {
          replica: this.#replica,
          onFree: (key) => this.#concurrency.get(key)?.wake(),
          onError: (error) => this.#link.noteError(error),
          random: () => clock.random(),
        }),
      where: target.nodes.map(({ host, port }) => `${host}:${port}`).join(', '),
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
