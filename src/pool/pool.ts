import { isTimeout } from '../core/errors/errors.ts';
import { fullJitter } from '../core/time/backoff.ts';
import { CallController } from '../core/time/call-signal.ts';
import type { Clock, Timer } from '../core/time/clock.ts';
import { noCapacity, notOpened, shuttingDown } from './errors.ts';
import { isHealthy, type ProbeResult } from './health.ts';
import { isExpired, type PoolLimits, planSweep, sweepDelay } from './maintenance.ts';
import { type PoolMember, PoolMembers, type Replacement, type SessionLease } from './members.ts';
import type { SessionQuota } from './session-quota.ts';
import { WaitQueue } from './wait-queue.ts';

export interface PoolDeps<T> {
  readonly limits: PoolLimits;
  readonly clock: Clock;
  readonly quota: SessionQuota;
  /**
   * Items above the maximum while one that nobody uses is replaced: it serves until its successor
   * does. 0 unless given.
   */
  readonly overlap?: number;
  /**
   * Its signal is the pool's own, because what is opened serves everybody. Bounded in time; settles
   * soon after that aborts.
   */
  readonly open: (signal: AbortSignal) => Promise<T>;
  /** Called once per item, bounded in time. The item counts until this is done. */
  readonly close: (item: T) => Promise<void>;
  readonly probe: (item: T, method: string, signal: AbortSignal) => Promise<ProbeResult>;
  readonly openFailed?: (error: unknown) => void;
}

/** Waits before the next try to open an item, where the last one failed. */
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/**
 * How long an opening goes on when the last caller has left without an item: one that is nearly
 * there is not wasted.
 */
const UNWANTED_OPENING_MS = 1_000;

/** Something that will bring an item, and that ends where nobody waits for that. */
interface PendingItem {
  /** Runs while nobody wants what comes. */
  unwanted: Timer | undefined;
}

interface PendingOpening extends PendingItem {
  readonly controller: CallController;
  readonly done: Promise<void>;
  /** It opens the successor of an item, for nobody who waits. */
  readonly renews: boolean;
  /** A drain has come since it began. */
  stale: boolean;
  /** It has been told to end, and nobody counts on it any more. */
  ended: boolean;
}

/** The place of an item that somebody else is replacing. */
interface ReservedSlot extends PendingItem {
  readonly abandon: () => void;
}

/**
 * Items that serve many callers: who gets which, when another is opened, and when one has had its
 * time. It knows nothing of what an item is. Every decision is made synchronously, so that between
 * a look and the act on it nothing can change.
 */
export class Pool<T> {
  readonly #deps: PoolDeps<T>;
  readonly #members: PoolMembers<T>;
  readonly #openings = new Set<PendingOpening>();
  readonly #waiting: WaitQueue<SessionLease<T>>;
  readonly #ending = new CallController();
  readonly #reserved = new Set<ReservedSlot>();
  #adopted = false;
  #failures = 0;
  #lastFailure: unknown;
  /** While it runs, nothing is opened on suspicion. */
  #backoff: Timer | undefined;
  #sweeping: Timer | undefined;

  constructor(deps: PoolDeps<T>) {
    const { clock, limits, quota, close } = deps;
    this.#deps = deps;
    this.#waiting = new WaitQueue({
      clock,
      waitMs: limits.waitMs,
      refusal: (waitedMs) => this.#capacityError(waitedMs),
      onLeave: () => this.#onWaiterLeft(),
      onChange: this.#advance,
    });
    this.#members = new PoolMembers({
      clock,
      callsPerItem: limits.callsPerItem,
      isExpired: (member) => isExpired(member, this.#members.serving.length, limits, clock.monotonic()),
      close,
      onClosed: () => quota.release(),
      onChange: this.#advance,
    });
  }

  /**
   * Items, those being opened and those being closed: never more than the maximum and the overlap.
   */
  get size(): number {
    return this.#members.size + this.#openings.size + this.#reserved.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Those that take calls, most recently used last. */
  get items(): readonly T[] {
    const expired = this.#members.expired;
    return this.#members.serving.filter((member) => !expired.includes(member)).map(({ item }) => item);
  }

  /**
   * Takes an item that exists already, and the place that it has; from now on the minimum is kept.
   */
  adopt(item: T): void {
    this.#adopted = true;
    this.#itemOpened(item);
    this.#sweepLater();
  }

  /** @throws ProxyError no-session or shutting-down; the signal's reason. */
  async lease(signal: AbortSignal): Promise<SessionLease<T>> {
    if (this.#ending.signal.aborted) throw shuttingDown();
    signal.throwIfAborted();
    const member = this.#waiting.length === 0 ? this.#members.withRoom : undefined;
    if (member) return this.#members.lease(member);
    const leased = this.#waiting.join(signal);
    this.#advance();
    return leased;
  }

  /** Keeps an item from being closed while something that is no lease uses it. */
  hold(item: T): () => void {
    const member = this.#members.find(item);
    return member ? this.#members.hold(member) : () => undefined;
  }

  /**
   * For an item that somebody else ends and replaces: its place is kept for the new one. Undefined
   * where the pool does not have it.
   * @param abandon - called when no caller of the pool waits for the new one any more.
   */
  beginReplacement(item: T, abandon: () => void = () => undefined): Replacement<T> | undefined {
    const member = this.#members.find(item);
    if (!member || this.#ending.signal.aborted) return undefined;
    this.#members.detach(member);
    const reserved: ReservedSlot = { abandon, unwanted: undefined };
    this.#reserved.add(reserved);
    const free = (): void => {
      reserved.unwanted?.cancel();
      this.#reserved.delete(reserved);
    };
    return {
      complete: (fresh) => {
        free();
        this.#itemOpened(fresh);
      },
      fail: (error) => {
        free();
        this.#openingFailed(error);
      },
      abandon: () => {
        free();
        this.#openingAbandoned();
      },
    };
  }

  /** The item is not to be used again. */
  discard(item: T): void {
    const member = this.#members.find(item);
    if (!member) return;
    this.#members.retire(member);
    this.#advance();
  }

  /**
   * Replaces what exists now, one after the other: each serves until its successor does, wherever
   * there is a place for that.
   */
  drain(): void {
    if (this.#ending.signal.aborted) return;
    for (const opening of this.#openings) opening.stale = true;
    for (const member of this.#members.serving) member.outdated = true;
    this.#advance();
  }

  /** The client has left: who waits is refused now, who holds an item keeps it. */
  refuseWaiting(): void {
    this.#waiting.refuseAll(shuttingDown);
  }

  /** Refuses those who wait, and closes everything, what is being opened included. Never throws. */
  async close(): Promise<void> {
    if (!this.#ending.signal.aborted) {
      this.#ending.abort(shuttingDown());
      this.#backoff?.cancel();
      this.#sweeping?.cancel();
      this.#deps.quota.removeWaiter(this.#advance);
      this.#waiting.refuseAll(shuttingDown);
      for (const pending of [...this.#openings, ...this.#reserved]) pending.unwanted?.cancel();
      for (const { controller } of this.#openings) controller.abort(shuttingDown());
      this.#members.closeAll();
    }
    await Promise.all([...this.#openings].map(({ done }) => done));
    await this.#members.whenClosed();
  }

  /**
   * Ends and replaces what is old, serves those who wait, opens what is missing: after every
   * change, and in this order.
   */
  readonly #advance = (): void => {
    if (this.#ending.signal.aborted) return;
    for (const member of this.#members.expired) this.#members.retire(member);
    this.#replaceOutdated();
    while (this.#waiting.length > 0) {
      const member = this.#members.withRoom;
      if (!member) break;
      this.#waiting.serve(this.#members.lease(member));
    }
    // Where none serves or comes, those that leave may still be in use for an hour.
    while (this.#missing > 0 && this.#acquireSlot(this.#members.serving.length + this.#pendingCount === 0))
      this.#open();
    const covered = this.#pendingCount === 0 ? 0 : this.#pendingCount * this.#deps.limits.callsPerItem;
    this.#waiting.refuseOverdue(covered);
  };

  get #pendingCount(): number {
    let pending = this.#reserved.size;
    for (const { ended } of this.#openings) if (!ended) pending++;
    return pending;
  }

  /**
   * The only one is kept whatever the minimum: it is the session that the client believes to have.
   */
  get #floor(): number {
    return this.#adopted ? Math.max(1, this.#deps.limits.min) : 0;
  }

  get #missing(): number {
    const { callsPerItem } = this.#deps.limits;
    const pending = this.#pendingCount;
    const forMinimum = this.#backoff ? 0 : this.#floor - this.#members.staying - pending;
    // Where nothing serves, each caller may try: that is how it hears what is wrong.
    const may = !this.#backoff || (this.#members.serving.length === 0 && pending === 0);
    const wanted = this.waiting === 0 ? 0 : Math.max(1, Math.ceil(this.waiting / callsPerItem));
    return Math.max(forMinimum, may ? wanted - pending : 0);
  }

  get #isFull(): boolean {
    return this.size >= this.#deps.limits.max;
  }

  /**
   * @param overlapping - true where an item more than the maximum is allowed for the time of a
   * replacement.
   */
  #acquireSlot(overlapping = false): boolean {
    const { limits, overlap = 0, quota } = this.#deps;
    const max = limits.max + (overlapping ? overlap : 0);
    return this.size < max && quota.acquire(this.#advance);
  }

  /**
   * Replaces the next outdated item. One at a time, and none while opening fails: until a successor
   * works, what there is serves on. Where there is no place for a successor, an item that nobody
   * uses goes first; one that is in use serves on, because its call may take an hour, and those
   * that come meanwhile would find nobody.
   */
  #replaceOutdated(): void {
    for (const member of this.#members.outdated) {
      const { fresh, serving } = this.#members;
      const unused = member.uses === 0;
      if (fresh >= this.#floor) {
        // What is more than the minimum needs no successor.
        if (unused || !this.#isFull) this.#members.retire(member);
        continue;
      }
      if (this.#backoff || this.#pendingCount > 0) return;
      if (this.#acquireSlot(unused)) {
        member.due = true;
        this.#open(member);
        return;
      }
      if (unused && serving.length >= this.#floor && this.#members.size <= this.#deps.limits.max) {
        this.#members.retire(member);
        return;
      }
    }
  }

  /**
   * A caller has left without an item. The last one leaves behind what is being opened for nobody,
   * and what may never come.
   */
  #onWaiterLeft(): void {
    if (this.#waiting.length === 0) {
      for (const opening of this.#openings) {
        if (!opening.renews && !opening.ended) this.#endLater(opening, () => this.#end(opening));
      }
      for (const reserved of this.#reserved) this.#endLater(reserved, reserved.abandon);
    }
    this.#advance();
  }

  #endLater(pending: PendingItem, end: () => void): void {
    pending.unwanted ??= this.#deps.clock.schedule(UNWANTED_OPENING_MS, end, { keepAlive: false });
  }

  #end(opening: PendingOpening): void {
    opening.unwanted?.cancel();
    opening.ended = true;
    opening.controller.abort(new Error('nobody waits for it any more'));
    this.#advance();
  }

  #open(insteadOf?: PoolMember<T>): void {
    const controller = new CallController();
    // A turn later, so that `open` can never call back into a decision that is being made.
    const done = Promise.resolve()
      .then(() => this.#deps.open(controller.signal))
      .then(
        (item) => {
          this.#forget(opening);
          this.#itemOpened(item);
          // Last, so that who closes the former finds the new one there.
          if (insteadOf) this.#members.retire(insteadOf);
          const member = opening.stale ? this.#members.find(item) : undefined;
          if (member) member.outdated = true;
          this.#advance();
        },
        (error: unknown) => {
          this.#forget(opening);
          if (insteadOf) insteadOf.due = false;
          if (opening.ended) this.#openingAbandoned();
          else this.#openingFailed(error);
        },
      );
    const renews = insteadOf !== undefined;
    const opening: PendingOpening = {
      controller,
      done,
      renews,
      stale: false,
      ended: false,
      unwanted: undefined,
    };
    this.#openings.add(opening);
  }

  #forget(opening: PendingOpening): void {
    opening.unwanted?.cancel();
    this.#openings.delete(opening);
  }

  /** An opening has ended because nobody waited for it, which says nothing of the server. */
  #openingAbandoned(): void {
    this.#deps.quota.release();
    this.#advance();
  }

  #itemOpened(item: T): void {
    if (this.#ending.signal.aborted) {
      this.#members.closeLate(item);
      return;
    }
    this.#failures = 0;
    this.#backoff?.cancel();
    this.#backoff = undefined;
    this.#members.add(item);
    this.#advance();
  }

  #openingFailed(error: unknown): void {
    this.#deps.quota.release();
    if (this.#ending.signal.aborted) return;
    const { clock, openFailed, limits } = this.#deps;
    openFailed?.(error);
    this.#lastFailure = error;
    this.#failures++;
    this.#backoff ??= clock.schedule(
      fullJitter(clock, this.#failures, RETRY_BASE_MS, RETRY_MAX_MS),
      () => {
        this.#backoff = undefined;
        this.#advance();
      },
      { keepAlive: false },
    );
    // Nothing serves and nothing is coming: waiting on would help nobody. After one that hung, who
    // has time left gets another try.
    const again = isTimeout(error) && limits.waitMs > 0;
    if (!again && this.#members.serving.length + this.#pendingCount === 0) {
      this.#waiting.refuseAll(() => notOpened(limits.max, error));
    }
    this.#advance();
  }

  #sweepLater(): void {
    const { limits, clock } = this.#deps;
    if (this.#sweeping || this.#ending.signal.aborted) return;
    const delay = sweepDelay(this.#members.serving, limits, clock.monotonic());
    if (delay === undefined) return;
    this.#sweeping = clock.schedule(
      delay,
      () => {
        this.#sweeping = undefined;
        this.#sweep();
        this.#sweepLater();
      },
      { keepAlive: false },
    );
  }

  #sweep(): void {
    const { limits, clock } = this.#deps;
    const { recycle, evict, probe } = planSweep(this.#members.serving, limits, clock.monotonic());
    for (const member of evict) this.#members.retire(member);
    if (recycle) recycle.outdated = true;
    for (const member of probe) void this.#check(member);
    this.#advance();
  }

  /**
   * Under a lease, so that nobody is given what may be about to go, and nothing goes under a
   * caller.
   */
  async #check(member: PoolMember<T>): Promise<void> {
    const { limits, clock, probe } = this.#deps;
    const { item, release } = this.#members.lease(member, false);
    const check = { methods: limits.healthMethods, timeoutMs: limits.healthTimeoutMs, clock };
    const healthy = await isHealthy(
      check,
      (method, signal) => probe(item, method, signal),
      this.#ending.signal,
    );
    release(healthy ? 'ok' : 'broken');
  }

  #capacityError(waitedMs: number): Error {
    const { limits, quota } = this.#deps;
    return noCapacity({
      sessions: this.#members.size,
      maxSessions: limits.max,
      callsPerSession: limits.callsPerItem,
      waiting: this.waiting,
      waitMs: limits.waitMs,
      waitedMs,
      opening: this.#pendingCount,
      maxTotalSessions: this.size < limits.max && quota.used >= quota.max ? quota.max : undefined,
      failure: this.#backoff && this.#lastFailure,
    });
  }
}
