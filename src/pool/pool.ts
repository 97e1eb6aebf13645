import { isTimeout, shuttingDown } from '../core/errors/errors.ts';
import type { SessionCloseReason, SessionOpenReason } from '../core/pipeline/events.ts';
import { fullJitter } from '../core/time/backoff.ts';
import { CallController } from '../core/time/call-signal.ts';
import type { Clock, Timer } from '../core/time/clock.ts';
import { noCapacity, notOpened } from './errors.ts';
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
   * Extra items while an unused one is replaced, so that it serves until its successor is open.
   * Default 0.
   */
  readonly overlap?: number;
  /**
   * Opens an item under the pool's signal, because it serves all callers. Bounded in time; settles
   * soon after an abort.
   */
  readonly open: (signal: AbortSignal, reason: SessionOpenReason) => Promise<T>;
  /** Called once per item, bounded in time. The item counts until this is done. */
  readonly close: (item: T, reason: SessionCloseReason) => Promise<void>;
  readonly probe: (item: T, method: string, signal: AbortSignal) => Promise<ProbeResult>;
  readonly openFailed?: (error: unknown) => void;
  /** Called after each health check. */
  readonly checked?: (item: T, healthy: boolean, error: unknown) => void;
}

/** The items that serve, and the callers that wait for one. */
export interface PoolCounts {
  /** Items with at least one lease. */
  readonly active: number;
  readonly idle: number;
  readonly opening: number;
  readonly waiting: number;
}

/** What is known of one item that serves. */
export interface PoolItem<T> {
  readonly item: T;
  readonly leases: number;
  /** Leases so far. */
  readonly borrowed: number;
  /** Monotonic. */
  readonly openedAt: number;
  readonly usedAt: number;
}

/** Waits before the next try to open an item, where the last one failed. */
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/** An opening continues this long after the last caller has left, so that it is not wasted. */
const UNWANTED_OPENING_MS = 1_000;

/** A pending item. It is abandoned when no one waits for it. */
interface PendingItem {
  /** Timer that runs while no caller wants the item. */
  unwanted: Timer | undefined;
}

interface PendingOpening extends PendingItem {
  readonly controller: CallController;
  readonly done: Promise<void>;
  /** It replaces an item, so no caller waits for it. */
  readonly renews: boolean;
  /** A drain began after it did. */
  stale: boolean;
  /** It was aborted and no longer counts. */
  ended: boolean;
}

/** The slot of an item that the caller is replacing. */
interface ReservedSlot extends PendingItem {
  readonly abandon: () => void;
}

/**
 * A pool of items: assigns them to callers, opens, recycles and closes them. It knows nothing of
 * what an item is. Every decision is synchronous, so that nothing changes between a check and its
 * action.
 */
export class Pool<T> {
  readonly #deps: PoolDeps<T>;
  readonly #members: PoolMembers<T>;
  readonly #openings = new Set<PendingOpening>();
  readonly #waiting: WaitQueue<SessionLease<T>>;
  readonly #ending = new CallController();
  readonly #reserved = new Set<ReservedSlot>();
  #adopted = false;
  /** Items that failed their health check and have no successor yet. */
  #unhealthy = 0;
  #failures = 0;
  #lastFailure: unknown;
  /** While it runs, no item is opened ahead of need. */
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

  /** Open, opening and closing items: never more than the maximum plus the overlap. */
  get size(): number {
    return this.#members.size + this.#openings.size + this.#reserved.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get counts(): PoolCounts {
    const { serving } = this.#members;
    let active = 0;
    for (const { leases } of serving) if (leases > 0) active++;
    return {
      active,
      idle: serving.length - active,
      opening: this.#pendingCount,
      waiting: this.waiting,
    };
  }

  /** Describes the serving items, least recently used first. */
  describe(): readonly PoolItem<T>[] {
    return this.#members.serving.map(({ item, leases, borrowed, openedAt, usedAt }) => ({
      item,
      leases,
      borrowed,
      openedAt,
      usedAt,
    }));
  }

  /** Items that accept calls, most recently used last. */
  get items(): readonly T[] {
    const expired = this.#members.expired;
    return this.#members.serving.filter((member) => !expired.includes(member)).map(({ item }) => item);
  }

  /** Adds an existing item whose quota is already acquired. From now on the minimum is kept. */
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
   * Reserves the slot of an item that the caller ends and replaces. Undefined where the pool does
   * not have the item.
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
    this.#members.retire(member, 'broken');
    this.#advance();
  }

  /**
   * Replaces all current items one by one. Each serves until its successor is open, where there is
   * room.
   */
  drain(): void {
    if (this.#ending.signal.aborted) return;
    for (const opening of this.#openings) opening.stale = true;
    for (const member of this.#members.serving) member.outdated = 'drain';
    this.#advance();
  }

  /** The client has left: waiting callers are refused, held items stay. */
  refuseWaiting(): void {
    this.#waiting.refuseAll(shuttingDown);
  }

  /** Refuses waiting callers and closes all items, also those being opened. Never throws. */
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
   * After every change: retires expired items, replaces outdated ones, serves waiting callers,
   * opens what is missing, in this order.
   */
  readonly #advance = (): void => {
    if (this.#ending.signal.aborted) return;
    for (const member of this.#members.expired) this.#members.retire(member, 'expired');
    this.#replaceOutdated();
    while (this.#waiting.length > 0) {
      const member = this.#members.withRoom;
      if (!member) break;
      this.#waiting.serve(this.#members.lease(member));
    }
    // Without a serving or pending item, leaving ones may still be in use for an hour.
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

  /** One is always kept: the client believes to have this session. */
  get #floor(): number {
    return this.#adopted ? Math.max(1, this.#deps.limits.min) : 0;
  }

  get #missing(): number {
    const { callsPerItem } = this.#deps.limits;
    const pending = this.#pendingCount;
    const forMinimum = this.#backoff ? 0 : this.#floor - this.#members.staying - pending;
    // Without a serving item each caller may try, and so learns the cause.
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
   * Replaces the next outdated item, one at a time, and none while opening fails. Without room for
   * a successor, an unused item goes first; one in use serves on, because its call may take an
   * hour.
   */
  #replaceOutdated(): void {
    for (const member of this.#members.outdated) {
      const { fresh, serving } = this.#members;
      const unused = member.uses === 0;
      if (fresh >= this.#floor) {
        // Surplus items need no successor.
        if (unused || !this.#isFull) this.#members.retire(member, member.outdated || 'drain');
        continue;
      }
      if (this.#backoff || this.#pendingCount > 0) return;
      if (this.#acquireSlot(unused)) {
        member.due = true;
        this.#open(member);
        return;
      }
      if (unused && serving.length >= this.#floor && this.#members.size <= this.#deps.limits.max) {
        this.#members.retire(member, member.outdated || 'drain');
        return;
      }
    }
  }

  /** A caller left without an item. After the last one, pending items are abandoned. */
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
    const reason = insteadOf?.outdated || this.#reasonToOpen();
    // One microtask later, so that `open` cannot call back into a running decision.
    const done = Promise.resolve()
      .then(() => this.#deps.open(controller.signal, reason))
      .then(
        (item) => {
          this.#forget(opening);
          this.#itemOpened(item);
          // Last, so that closing the former one finds the new one.
          if (insteadOf) this.#members.retire(insteadOf, insteadOf.outdated || 'drain');
          const member = opening.stale ? this.#members.find(item) : undefined;
          if (member) member.outdated = 'drain';
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

  #reasonToOpen(): SessionOpenReason {
    if (this.waiting > 0) return 'demand';
    if (this.#unhealthy === 0) return 'minimum';
    this.#unhealthy--;
    return 'unhealthy';
  }

  #forget(opening: PendingOpening): void {
    opening.unwanted?.cancel();
    this.#openings.delete(opening);
  }

  /** An opening ended because no one waited, which says nothing about the server. */
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
    // Nothing serves and nothing is pending, so waiting is useless. After a timeout, callers with
    // time left get another attempt.
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
    for (const member of evict) this.#members.retire(member, 'idle');
    if (recycle) recycle.outdated = 'recycled';
    for (const member of probe) void this.#check(member);
    this.#advance();
  }

  /** Probes under a lease, so that the item is neither assigned nor closed meanwhile. */
  async #check(member: PoolMember<T>): Promise<void> {
    const { limits, clock, probe, checked } = this.#deps;
    const { item, release } = this.#members.lease(member, false);
    let failure: unknown;
    const check = { methods: limits.healthMethods, timeoutMs: limits.healthTimeoutMs, clock };
    const healthy = await isHealthy(
      check,
      (method, signal) =>
        probe(item, method, signal).catch((error: unknown) => {
          failure = error;
          throw error;
        }),
      this.#ending.signal,
    );
    if (!this.#ending.signal.aborted) {
      checked?.(item, healthy, healthy ? undefined : failure);
      if (!healthy) this.#unhealthy++;
    }
    release(healthy ? 'ok' : 'unhealthy');
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
