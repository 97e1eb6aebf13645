import type { ProxyError } from '../core/errors/errors.ts';
import { FairQueue, type Share } from '../core/pipeline/fair-queue.ts';
import {
  type ConcurrencyLimiter,
  type LimiterCounts,
  type LimiterOptions,
  type OverloadReason,
  RejectionCounter,
  type Slot,
} from '../core/pipeline/limits.ts';
import type { Clock, Timer } from '../core/time/clock.ts';
import { type Waiter, WaitQueue } from '../core/time/wait-queue.ts';
import { type OverloadedError, overloadedAt } from '../layers/backpressure.ts';
import { LOCAL, type StoreLink } from './store-link.ts';

/** Lifetime of a lease that is not renewed, such as one of a replica that has died. */
const LEASE_MS = 15_000;
/** A lease is renewed twice within its lifetime, so that one renewal may fail. */
const RENEW_MS = 5_000;
/** Interval of polling for a free lease, if no other replica reports one. */
const POLL_MS = 250;
/** A waiting replica that has not polled for this long loses its place. */
const PATIENCE_MS = 1_500;
/** Leases that one operation requests, renews or returns. */
const MAX_LEASES = 64;

export interface SharedConcurrencyDeps {
  readonly key: string;
  /** The name of this replica. */
  readonly replica: string;
  readonly link: StoreLink;
  readonly options: LimiterOptions;
}

interface LeasePlace {
  readonly signal: AbortSignal;
  readonly share: Share | undefined;
}

/**
 * A limit on running calls that replicas share by leases in the store. A call runs on while its
 * lease is lost: the limit then counts it again with the next renewal.
 */
export class SharedConcurrency implements ConcurrencyLimiter {
  readonly #deps: SharedConcurrencyDeps;
  readonly #order = new FairQueue<Waiter<Slot, LeasePlace>, LeasePlace>(({ share }) => share);
  readonly #queue = new WaitQueue<Slot, LeasePlace>({ order: this.#order, onLeave: () => this.#left() });
  /** The leases of the calls that run here. */
  readonly #held = new Set<string>();
  readonly #freed: string[] = [];
  #next = 0;
  #requesting = false;
  /** The store has no free lease, and this replica has its place among those that wait. */
  #full = false;
  #poll: Timer | undefined;
  #renewal: Timer | undefined;
  #leaving: ProxyError | undefined;
  /** How many leases the store still counts since it cannot be used, by the epoch of the link. */
  #counted = { epoch: -1, leases: 0 };
  readonly #rejections = new RejectionCounter();

  constructor(deps: SharedConcurrencyDeps) {
    this.#deps = deps;
    // The store may have been emptied, and calls may have begun without it.
    deps.link.onReturn(() => void this.#renew());
  }

  get clock(): Clock {
    return this.#deps.options.clock;
  }

  get counts(): LimiterCounts {
    return this.#rejections.countsWith(this.#held.size, this.#queue.size);
  }

  enter(signal: AbortSignal, share?: Share): Promise<Slot> {
    signal.throwIfAborted();
    if (this.#leaving) throw this.#leaving;
    const { clock, queueSize, queueTimeoutMs: ms } = this.#deps.options;
    const place = { signal, share };
    if (this.#full && this.#queue.size >= queueSize) {
      const error = this.#overloaded('queue_full');
      const displaced = this.#order.displaceFor(place);
      if (!displaced) throw error;
      displaced.reject(error);
    }
    const slot = this.#queue.wait(signal, place, {
      clock,
      ms,
      refusal: () => this.#overloaded('queue_timeout'),
    });
    if (!this.#full) void this.#requestLeases();
    return slot;
  }

  refuseQueued(error: ProxyError): void {
    this.#leaving = error;
    this.#queue.refuse(() => error);
    this.#left();
  }

  /** Another replica has returned a lease, and it is the turn of this one. */
  wake(): void {
    if (this.#queue.size > 0) void this.#requestLeases();
  }

  async #requestLeases(): Promise<void> {
    if (this.#requesting) return;
    this.#requesting = true;
    this.#poll?.cancel();
    this.#poll = undefined;
    this.#full = false;
    while (this.#queue.size > 0 && !this.#full) {
      const wanted = Math.min(this.#queue.size, MAX_LEASES);
      const leases = Array.from({ length: wanted }, () => `${this.#deps.replica}:${this.#next++}`);
      const granted = await this.#enter(leases);
      for (const lease of leases.slice(0, granted)) {
        if (!this.#queue.serve(({ signal }) => this.#grant(lease, signal))) this.#giveBack(lease);
      }
      if (granted < wanted) this.#becomeFull();
    }
    this.#requesting = false;
  }

  /** @returns how many of the leases this process has now. */
  async #enter(leases: readonly string[]): Promise<number> {
    const { link, key, options } = this.#deps;
    const { maxConcurrent: limit, queueSize } = options;
    const granted = await link.run(key, (store) =>
      store.enter(key, {
        limit: link.membership.connectedLeases(limit),
        leaseUs: LEASE_MS * 1_000,
        patienceUs: queueSize > 0 ? PATIENCE_MS * 1_000 : 0,
        more: this.#queue.size > leases.length,
        leases,
      }),
    );
    if (granted !== LOCAL) return granted;
    if (this.#counted.epoch !== link.epoch) this.#counted = { epoch: link.epoch, leases: this.#held.size };
    const { membership } = link;
    // At first others may have the share; what the store has counted remains usable.
    const share = membership.isHeld
      ? this.#counted.leases
      : Math.max(1, Math.floor(limit / membership.replicas));
    return Math.min(leases.length, Math.max(0, share - this.#held.size));
  }

  /** Starts polling for free leases. */
  #becomeFull(): void {
    const { queueSize, clock } = this.#deps.options;
    const reason = queueSize === 0 ? 'concurrency_limit' : 'queue_full';
    this.#queue.refuse((_place, position) => (position < queueSize ? undefined : this.#overloaded(reason)));
    if (this.#queue.size === 0) return;
    this.#full = true;
    const ms = POLL_MS * (0.75 + clock.random() / 2);
    this.#poll = clock.schedule(ms, () => void this.#requestLeases());
  }

  /** A caller has left the queue: without any, this replica must not keep its place. */
  #left(): void {
    if (this.#queue.size > 0 || !this.#full) return;
    this.#full = false;
    this.#poll?.cancel();
    this.#poll = undefined;
    void this.#deps.link.run(this.#deps.key, (store) => store.quit(this.#deps.key));
  }

  #grant(lease: string, signal: AbortSignal): Slot {
    const release = (): void => {
      if (!this.#held.delete(lease)) return;
      signal.removeEventListener('abort', release);
      this.#giveBack(lease);
    };
    this.#held.add(lease);
    // The slot of a cancelled call is free at once, whenever its handler ends.
    signal.addEventListener('abort', release, { once: true });
    this.#renewal ??= this.clock.schedule(RENEW_MS, () => void this.#renewLater(), { keepAlive: false });
    return { release };
  }

  /** One operation for all that end in one turn of the event loop. */
  #giveBack(lease: string): void {
    this.#freed.push(lease);
    if (this.#freed.length === 1) queueMicrotask(() => void this.#release());
  }

  async #release(): Promise<void> {
    const { link, key } = this.#deps;
    const leases = this.#freed.splice(0);
    for (let at = 0; at < leases.length; at += MAX_LEASES) {
      // A lease that cannot be given back ends by itself.
      await link.run(key, (store) => store.release(key, leases.slice(at, at + MAX_LEASES)));
    }
    if (this.#queue.size > 0) void this.#requestLeases();
  }

  async #renewLater(): Promise<void> {
    this.#renewal = undefined;
    await this.#renew();
    if (this.#held.size === 0) return;
    this.#renewal ??= this.clock.schedule(RENEW_MS, () => void this.#renewLater(), { keepAlive: false });
  }

  async #renew(): Promise<void> {
    const { link, key } = this.#deps;
    const leases = [...this.#held];
    for (let at = 0; at < leases.length; at += MAX_LEASES) {
      // A call that ended meanwhile must not come back.
      const still = leases.slice(at, at + MAX_LEASES).filter((lease) => this.#held.has(lease));
      if (still.length > 0) await link.run(key, (store) => store.renew(key, LEASE_MS * 1_000, still));
    }
  }

  #overloaded(reason: OverloadReason): OverloadedError {
    this.#rejections.add(reason);
    return overloadedAt(reason, this.counts, this.#deps.options);
  }
}
