import { isTimeout } from '../core/errors/errors.ts';
import type { SessionCloseReason, SessionOpenReason } from '../core/pipeline/events.ts';
import { fullJitter } from '../core/time/backoff.ts';
import { CallController } from '../core/time/call-signal.ts';
import type { Clock, Timer } from '../core/time/clock.ts';
import { WaitQueue } from '../core/time/wait-queue.ts';
import { type PoolErrors, PROXY_POOL_ERRORS } from './errors.ts';
import type { ProbeResult } from './health.ts';
import { keptItems, MIN_OPENING_WAIT_MS, type PoolLimits } from './maintenance.ts';
import type { OutdatedReason, PoolMember } from './member.ts';
import { PoolMembers, type SessionLease } from './members.ts';
import { type OpeningResult, Openings } from './openings.ts';
import type { SessionQuota } from './session-quota.ts';
import { Sweeper } from './sweeper.ts';

export interface PoolDeps<T> {
  readonly limits: PoolLimits;
  readonly clock: Clock;
  readonly quota: SessionQuota;
  /** Items beyond the maximum while others are replaced; Infinity: also those in use. Default 0. */
  readonly overlap?: number;
  /** True where the first item takes the place of one that another pool closes. */
  readonly replaces?: boolean;
  /** Opens an item for all callers. Bounded in time; settles soon after an abort. */
  readonly open: (signal: AbortSignal, reason: SessionOpenReason) => Promise<T>;
  /** Called once per item that is not lost, bounded in time. The item counts until this is done. */
  readonly close: (item: T, reason: SessionCloseReason) => Promise<void>;
  readonly probe: (item: T, method: string, signal: AbortSignal) => Promise<ProbeResult>;
  readonly onChecked?: (item: T, healthy: boolean, error: unknown) => void;
  readonly onOpened?: () => void;
  readonly onPrimary?: (item: T) => void;
  /** Called when an item could not be opened that is not only for callers, who get the error. */
  readonly onOpenFailed?: (error: unknown) => void;
  /** The error for a caller of the primary; `failure` is undefined where its wait is over. */
  readonly refusal: (failure: unknown) => Error;
  /** Default: errors that name the options of the command line. */
  readonly errors?: PoolErrors;
  /** Milliseconds before the next opening ahead of need. @param failures - in a row, from 1. */
  readonly retryDelayMs?: (failures: number) => number;
}

/** Delays before the next opening after a failed one. */
const RETRY_BASE_MS = 1_000;
const RETRY_MAX_MS = 30_000;

/** Least remaining time for which a timed out opening is repeated. */
const MIN_ATTEMPT_MS = 250;

/** A caller that waits for an item. */
interface Waiting {
  /** On the monotonic clock. */
  readonly since: number;
  /** When its wait is over; undefined where only the opening is limited. */
  readonly until: number | undefined;
  /** It no longer waits for an item in use, only for one that is being opened. */
  overdue: boolean;
}

type Leases<T> = WaitQueue<SessionLease<T>, Waiting>;

/**
 * The owner of a set of items and of their part in the quota: it opens, leases, replaces and closes
 * them. Every decision is synchronous, so that nothing changes between a check and its action.
 */
export class Pool<T> {
  readonly #deps: PoolDeps<T>;
  readonly #errors: PoolErrors;
  /** Its own copy, which `resize` changes. */
  readonly #limits: { -readonly [K in keyof PoolLimits]: PoolLimits[K] };
  readonly #sweeper: Sweeper<T>;
  readonly #members: PoolMembers<T>;
  readonly #openings: Openings<T>;
  /** Callers of any item with room. */
  readonly #forRoom: Leases<T> = new WaitQueue({ onLeave: () => this.#onWaiterLeft() });
  /** Callers of the primary. */
  readonly #forPrimary: Leases<T> = new WaitQueue({ onLeave: () => this.#onWaiterLeft() });
  readonly #ending = new CallController();
  /** Undefined before the first item, and from the loss of the primary until the next one opens. */
  #primary: PoolMember<T> | undefined;
  /** Parts of the quota in use: for each item and each opening. */
  #slots = 0;
  #adopted = false;
  /** The first slot is acquired, and its item not open yet. */
  #reserved = false;
  #failures = 0;
  /** Why the last item left that had no successor yet. */
  #vacated: SessionOpenReason = 'minimum';
  /** True if the last opening created no item: it failed, or ended because no caller waited. */
  #stopped = false;
  #lastFailure: unknown;
  /** While it runs, no item is opened ahead of need. */
  #backoff: Timer | undefined;

  constructor(deps: PoolDeps<T>) {
    const { clock, open, close, errors = PROXY_POOL_ERRORS } = deps;
    const limits = { ...deps.limits };
    this.#deps = deps;
    this.#errors = errors;
    this.#limits = limits;
    this.#openings = new Openings(clock, open);
    this.#members = new PoolMembers({
      clock,
      limits,
      close,
      onClosed: () => {
        this.#releaseSlot();
        this.#advance();
      },
      onReleased: (member) => {
        if (member.outdated || member.state !== 'serving' || this.waiting > 0) this.#advance();
      },
    });
    this.#sweeper = new Sweeper({
      members: this.#members,
      limits,
      clock,
      ending: this.#ending.signal,
      probe: deps.probe,
      onChecked: (item, healthy, error) => {
        deps.onChecked?.(item, healthy, error);
        if (!healthy) this.#vacated = 'unhealthy';
      },
      onSwept: this.#advance,
    });
  }

  /** Open, opening and closing items: never more than the maximum plus the overlap. */
  get size(): number {
    return this.#slots;
  }

  get waiting(): number {
    return this.#forRoom.size + this.#forPrimary.size;
  }

  /** The items that serve, least recently used first. */
  get serving(): readonly Readonly<PoolMember<T>>[] {
    return this.#members.serving;
  }

  get primary(): T | undefined {
    return this.#primary?.item;
  }

  /** True once the first item is open. */
  get adopted(): boolean {
    return this.#adopted;
  }

  get count(): number {
    return this.#members.count;
  }

  /** True where another item may be opened, or is being opened for no caller. */
  get canGrow(): boolean {
    const { quota } = this.#deps;
    if (this.waiting > 0) return false;
    return this.#openings.pending > 0 || (this.#slots < this.#limits.max && quota.used < quota.max);
  }

  /** Keeps the minimum open from now on, without a first item that a caller opens. */
  warm(): void {
    this.#adopted = true;
    this.#advance();
  }

  whenOpened(): Promise<void> {
    return this.#openings.whenSettled();
  }

  /**
   * Reserves the slot of the first item, which the caller opens: `adopt` or `releaseFirst` follows.
   * @throws ProxyError no-session, where it would be one more than all pools may have.
   */
  reserveFirst(): void {
    const { quota } = this.#deps;
    if (!this.#acquireSlot(false)) throw this.#errors.quotaExceeded(quota.max, quota.used);
    this.#reserved = true;
  }

  adopt(item: T): void {
    this.#reserved = false;
    this.#itemOpened(item);
  }

  /** Releases the slot of the first item, if it has not been opened. */
  releaseFirst(): void {
    if (this.#reserved) this.#releaseSlot();
    this.#reserved = false;
  }

  /** Leases any item with room. @throws no-session or shutting-down; the signal's reason. */
  async lease(signal: AbortSignal, isPreferred?: (item: T) => boolean): Promise<SessionLease<T>> {
    signal.throwIfAborted();
    return this.leaseNow(isPreferred) ?? this.#wait(this.#forRoom, signal);
  }

  /**
   * Leases an item that has room now; undefined where a caller would have to wait.
   * @param isPreferred - another is taken only where none of those used last fits.
   */
  leaseNow(isPreferred?: (item: T) => boolean): SessionLease<T> | undefined {
    this.#assertOpen();
    const member = this.#forRoom.size === 0 ? this.#members.withRoom(isPreferred) : undefined;
    return member && this.#members.lease(member, 'call');
  }

  /** Leases this item; undefined where it has no room, is to be replaced, or is gone. */
  leaseItem(item: T): SessionLease<T> | undefined {
    this.#assertOpen();
    const member = this.#members.find(item);
    if (member?.state !== 'serving' || member.outdated || this.#members.isExpired(member)) return undefined;
    const hasRoom = member.leases < this.#limits.callsPerItem && this.#forRoom.size === 0;
    return hasRoom ? this.#members.lease(member, 'call') : undefined;
  }

  /** Leases the primary, which carries any number of callers; undefined while it is replaced. */
  leasePrimary(): SessionLease<T> | undefined {
    const primary = this.#usablePrimary();
    return primary && this.#members.lease(primary, 'primary');
  }

  /** As `leasePrimary`, for a caller that ends its use by `endUse`, once: thousands may wait. */
  usePrimary(): PoolMember<T> | undefined {
    const primary = this.#usablePrimary();
    if (primary) this.#members.use(primary, 'primary');
    return primary;
  }

  endUse(primary: PoolMember<T>): void {
    this.#members.return(primary, 'primary', 'ok');
  }

  #usablePrimary(): PoolMember<T> | undefined {
    this.#assertOpen();
    if (this.#primary && this.#members.isExpired(this.#primary)) this.#advance();
    return this.#primary;
  }

  /** Waits for the next primary. @throws the refusal. */
  async waitForPrimary(signal: AbortSignal): Promise<SessionLease<T>> {
    this.#assertOpen();
    return this.#wait(this.#forPrimary, signal);
  }

  #assertOpen(): void {
    if (this.#ending.signal.aborted) throw this.#errors.closing();
  }

  #wait(queue: Leases<T>, signal: AbortSignal): Promise<SessionLease<T>> {
    const { clock } = this.#deps;
    const { waitMs, openingWaitMs = MIN_OPENING_WAIT_MS } = this.#limits;
    const since = clock.monotonic();
    const ms = Math.max(waitMs, openingWaitMs);
    const isLimited = waitMs > 0;
    const waiting: Waiting = { since, until: isLimited ? since + ms : undefined, overdue: !isLimited };
    const refusal = (): Error => this.#overdueError(queue, waiting, this.waiting);
    const leased = queue.wait(signal, waiting, isLimited ? { clock, ms, refusal } : undefined);
    if (isLimited && waitMs < ms) {
      const timer = clock.schedule(waitMs, () => {
        waiting.overdue = true;
        this.#advance();
      });
      leased.then(timer.cancel, timer.cancel);
    }
    this.#advance();
    return leased;
  }

  /** Keeps an item from being closed while something that is no lease uses it. */
  hold(item: T): () => void {
    const member = this.#members.find(item);
    return member ? this.#members.hold(member) : () => undefined;
  }

  /**
   * The server has lost the item. The slot of a primary passes to the next, opened at once.
   * @param byCaller - true where a caller found out: it opens the next single item by its wait. A
   * server that loses each item would otherwise get one more that no call uses.
   */
  lose(item: T, { byCaller = false } = {}): void {
    const member = this.#members.find(item);
    if (!member || this.#ending.signal.aborted) return;
    this.#members.remove(member);
    const waits = byCaller && !this.#limits.keepsOpen;
    if (waits) this.#stopped = true;
    const replaced = !waits && this.#floor > 0 && member === this.#primary && this.#openings.pending === 0;
    if (member === this.#primary) this.#primary = undefined;
    if (replaced) this.#open('recovery');
    else this.#releaseSlot();
    this.#advance();
  }

  /** Closes the item, once unused. @returns false where it is not served any more. */
  retire(item: T, reason: SessionCloseReason): boolean {
    const member = this.#members.find(item);
    if (member?.state !== 'serving') return false;
    this.#members.retire(member, reason);
    this.#advance();
    return true;
  }

  /** Changes the limits. Items beyond the maximum are closed: unused ones at once, others later. */
  resize(size: Pick<PoolLimits, 'min' | 'max'>): void {
    Object.assign(this.#limits, size);
    const { serving } = this.#members;
    const excess = serving.length + this.#openings.pending - size.max;
    const byUse = [...serving].sort((one, other) => Math.min(1, one.uses) - Math.min(1, other.uses));
    for (const [at, member] of byUse.entries()) {
      if (at < excess) this.#members.markOutdated(member, 'resize');
      else if (member.outdated === 'resize') this.#members.markOutdated(member, false);
    }
    this.#sweeper.reschedule();
    this.#advance();
  }

  /** Replaces all items one by one. Each serves until its successor is open, if there is room. */
  drain(): void {
    if (this.#ending.signal.aborted) return;
    this.#openings.markStale();
    for (const member of this.#members.serving) this.#members.markOutdated(member, 'drain');
    this.#advance();
  }

  /** The client has left: callers that wait for room are refused; leased items stay. */
  refuseWaiting(): void {
    if (this.#members.count > 0) this.#forRoom.refuse(this.#errors.closing);
  }

  /** Refuses callers, and closes all items, those in use when their lease ends. Never throws. */
  async end(): Promise<void> {
    if (!this.#ending.signal.aborted) {
      const { closing } = this.#errors;
      this.#ending.abort(closing());
      this.#backoff?.cancel();
      this.#sweeper.cancel();
      this.#deps.quota.removeWaiter(this.#advance);
      this.#refuseAll(closing);
      this.#openings.abort(closing());
      for (const member of this.#members.serving) this.#members.retire(member, 'closed');
    }
    await this.#openings.whenSettled();
    await this.#members.whenClosed();
  }

  /** As `end`, and closes at once what is in use. */
  async close(): Promise<void> {
    const ended = this.end();
    this.#members.closeAll();
    await ended;
    await this.#members.whenClosed();
  }

  /** After every change. The order matters: callers get no item that leaves. */
  readonly #advance = (): void => {
    if (this.#ending.signal.aborted) return;
    const { quota } = this.#deps;
    for (const member of this.#members.expired) this.#members.retire(member, 'expired');
    this.#replaceOutdated();
    this.#choosePrimary();
    for (let primary = this.#primary; primary; ) {
      const leased = primary;
      if (!this.#forPrimary.serve(() => this.#members.lease(leased, 'primary'))) break;
    }
    while (this.#forRoom.size > 0) {
      const member = this.#members.withRoom();
      if (!member) break;
      this.#forRoom.serve(() => this.#members.lease(member, 'call'));
    }
    // Without a serving or pending item, leaving ones may still be in use for an hour.
    while (this.#missing > 0 && this.#acquireSlot(this.#members.count + this.#openings.pending === 0))
      this.#open(this.#reasonToOpen());
    const { pending } = this.#openings;
    // A client's first session with a profile does not wait for those of others.
    if (!this.#adopted && this.#slots === 0 && quota.used >= quota.max)
      this.#refuseAll(() => this.#errors.quotaExceeded(quota.max, quota.used));
    this.#refuseOverdue(this.#forRoom, pending === 0 ? 0 : pending * this.#limits.callsPerItem);
    this.#refuseOverdue(this.#forPrimary, pending === 0 ? 0 : Number.POSITIVE_INFINITY);
  };

  /** @param covered - callers for whom an item is being opened. */
  #refuseOverdue(queue: Leases<T>, covered: number): void {
    queue.refuse((waiting, position) =>
      waiting.overdue && position >= covered
        ? this.#overdueError(queue, waiting, this.waiting - 1)
        : undefined,
    );
  }

  /** After a loss the next item that opens is the primary; after a closing, another open one. */
  #choosePrimary(): void {
    if (this.#primary?.state === 'serving' || (!this.#primary && this.#openings.pending > 0)) return;
    this.#setPrimary(this.#members.nextPrimary);
  }

  #setPrimary(member: PoolMember<T> | undefined): void {
    this.#primary = member;
    if (member) this.#deps.onPrimary?.(member.item);
  }

  /** Items that stay when others are replaced. */
  get #floor(): number {
    return this.#adopted ? keptItems(this.#limits) : 0;
  }

  get #missing(): number {
    const { callsPerItem, keepsOpen } = this.#limits;
    const { count, staying } = this.#members;
    const { pending } = this.#openings;
    const ahead = !this.#backoff && (keepsOpen || !this.#stopped);
    const forMinimum = ahead ? this.#floor - staying - pending : 0;
    const forRoom = this.#forRoom.size === 0 ? 0 : Math.max(1, Math.ceil(this.#forRoom.size / callsPerItem));
    const forPrimary = Math.min(1, this.#forPrimary.size);
    // Without a serving item each caller may try, and so learns the cause.
    const may = !this.#backoff || (count === 0 && pending === 0);
    return Math.max(forMinimum, may ? Math.max(forRoom, forPrimary) - pending : 0);
  }

  get #isFull(): boolean {
    return this.size >= this.#limits.max;
  }

  /** @param overlapping - true where a replacement may exceed the maximum. */
  #acquireSlot(overlapping: boolean): boolean {
    const { overlap = 0, quota, replaces = false } = this.#deps;
    if (this.#slots >= this.#limits.max + (overlapping ? overlap : 0)) return false;
    if (replaces && !this.#adopted && this.#slots === 0) quota.forceAcquire();
    else if (!quota.acquire(this.#advance)) return false;
    this.#slots++;
    return true;
  }

  #releaseSlot(): void {
    this.#slots--;
    this.#deps.quota.release();
  }

  /**
   * Replaces the next outdated item, one at a time, and none while opening fails. Without room, an
   * unused item goes before its successor comes; one in use serves on: its call may take an hour.
   */
  #replaceOutdated(): void {
    const inUse = this.#deps.overlap === Number.POSITIVE_INFINITY;
    for (const member of this.#members.outdated) {
      const { fresh, count } = this.#members;
      const unused = member.uses === 0;
      if (fresh >= this.#floor) {
        // Surplus items need no successor.
        if (unused || !this.#isFull) this.#members.retire(member, member.outdated || 'drain');
        continue;
      }
      if (this.#backoff || this.#openings.pending > 0) return;
      if (this.#acquireSlot(unused || inUse)) {
        this.#members.markDue(member, true);
        this.#open(reasonFor(member), member);
        return;
      }
      if (unused && count >= this.#floor && this.#slots <= this.#limits.max) {
        this.#vacated = reasonFor(member);
        this.#members.retire(member, member.outdated || 'drain');
        return;
      }
    }
  }

  #reasonToOpen(): SessionOpenReason {
    if (!this.#adopted) return 'profile';
    if (this.waiting > 0) return this.#primary ? 'demand' : 'recovery';
    const reason = this.#vacated;
    this.#vacated = 'minimum';
    return reason;
  }

  /** A caller left without an item. After the last one, openings are abandoned. */
  #onWaiterLeft(): void {
    if (this.waiting === 0) {
      this.#openings.endUnwanted(this.#members.count === 0, () => {
        this.#stopped = true;
        this.#advance();
      });
    }
    this.#advance();
  }

  #open(reason: SessionOpenReason, insteadOf?: PoolMember<T>): void {
    this.#openings.start(reason, insteadOf !== undefined, (result) => {
      if ('item' in result) {
        const member = this.#itemOpened(result.item);
        // Last, so that a primary that is replaced finds the new one.
        if (insteadOf) this.#members.retire(insteadOf, insteadOf.outdated || 'drain');
        if (member && result.stale) this.#members.markOutdated(member, 'drain');
        else if (member && this.#members.count > this.#limits.max)
          this.#members.markOutdated(member, 'resize');
        this.#advance();
        return;
      }
      if (insteadOf) this.#members.markDue(insteadOf, false);
      this.#openingFailed(result, insteadOf !== undefined);
    });
  }

  #itemOpened(item: T): PoolMember<T> | undefined {
    if (this.#ending.signal.aborted) {
      this.#members.closeLate(item);
      return undefined;
    }
    this.#adopted = true;
    this.#failures = 0;
    this.#stopped = false;
    this.#backoff?.cancel();
    this.#backoff = undefined;
    const member = this.#members.add(item);
    if (!this.#primary) this.#setPrimary(member);
    this.#advance();
    this.#sweeper.schedule();
    this.#deps.onOpened?.();
    return member;
  }

  /** An opening that ended because no caller waited does not count as a failure. */
  #openingFailed(
    { error, abandoned }: Exclude<OpeningResult<T>, { readonly item: T }>,
    renews: boolean,
  ): void {
    this.#releaseSlot();
    if (this.#ending.signal.aborted) return;
    if (!abandoned) {
      const { clock, onOpenFailed, refusal, retryDelayMs } = this.#deps;
      if (renews || this.#limits.keepsOpen || !this.#adopted) onOpenFailed?.(error);
      this.#lastFailure = error;
      this.#failures++;
      this.#stopped = true;
      this.#backoff ??= clock.schedule(
        retryDelayMs?.(this.#failures) ?? fullJitter(clock, this.#failures, RETRY_BASE_MS, RETRY_MAX_MS),
        () => {
          this.#backoff = undefined;
          this.#advance();
        },
        { keepAlive: false },
      );
      // Nothing serves and nothing is pending, so waiting is useless. After a timeout, callers with
      // time left get another attempt.
      if (this.#members.count + this.#openings.pending === 0) {
        const latest = clock.monotonic() + MIN_ATTEMPT_MS;
        const again = ({ until = 0 }: Waiting): boolean => isTimeout(error) && until >= latest;
        this.#forRoom.refuse((waiting) =>
          again(waiting) ? undefined : this.#errors.notOpened(this.#limits.max, error),
        );
        this.#forPrimary.refuse((waiting) => (again(waiting) ? undefined : refusal(error)));
      }
    }
    this.#advance();
  }

  #refuseAll(error: () => Error): void {
    this.#forRoom.refuse(error);
    this.#forPrimary.refuse(error);
  }

  /** The error for a caller whose wait is over. @param others - callers that still wait. */
  #overdueError(queue: Leases<T>, { since }: Waiting, others: number): Error {
    const { quota, clock, refusal } = this.#deps;
    const limits = this.#limits;
    const noQuota = this.size < limits.max && quota.used >= quota.max;
    if (queue === this.#forPrimary)
      return noQuota ? this.#errors.quotaExceeded(quota.max, quota.used) : refusal(undefined);
    return this.#errors.noCapacity({
      sessions: this.size - this.#openings.size,
      maxSessions: limits.max,
      callsPerSession: limits.callsPerItem,
      waiting: others,
      waitMs: limits.waitMs,
      waitedMs: clock.monotonic() - since,
      opening: this.#openings.pending,
      maxTotalSessions: noQuota ? quota.max : undefined,
      failure: this.#backoff && this.#lastFailure,
    });
  }
}

/** An item that is replaced after a resize is replaced for the minimum. */
const reasonFor = ({ outdated }: { readonly outdated: false | OutdatedReason }): SessionOpenReason =>
  outdated === 'resize' ? 'minimum' : outdated || 'drain';
