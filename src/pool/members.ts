import type { SessionCloseReason } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import { isExpired, type PoolLimits } from './maintenance.ts';
import { type OutdatedReason, PoolMember, UseOrder } from './member.ts';

/** How a lease ended; other than `ok`, the item is not to be used again. */
export type LeaseOutcome = 'ok' | 'broken' | 'unhealthy';

export interface SessionLease<T> {
  readonly item: T;
  /** On the monotonic clock. */
  readonly openedAt: number;
  /** Once; later calls do nothing. */
  release(how: LeaseOutcome): void;
}

/** `call` and `probe` take room on the item; a probe does not count as use. */
export type LeaseUse = 'call' | 'primary' | 'probe';

export interface PoolMembersDeps<T> {
  readonly clock: Clock;
  readonly limits: PoolLimits;
  readonly close: (item: T, reason: SessionCloseReason) => Promise<void>;
  readonly onClosed: () => void;
  readonly onReleased: (member: PoolMember<T>) => void;
}

const NONE: readonly never[] = [];

/** The maximum number of items that a borrow checks for a preferred one. */
const MAX_PREFERENCE_STEPS = 8;

/** The items of a pool with their users. Each is closed exactly once, when unused. */
export class PoolMembers<T> {
  readonly #deps: PoolMembersDeps<T>;
  /** Serving items, oldest first. */
  readonly #serving = new Set<PoolMember<T>>();
  /** Serving items with room. Callers take the one used last, so that surplus items become idle. */
  readonly #order = new UseOrder<T>();
  /** Serving items that are to be replaced, or have a pending successor. */
  readonly #marked = new Set<PoolMember<T>>();
  readonly #byItem = new Map<T, PoolMember<T>>();
  /** Items that are leaving or closing. */
  readonly #leaving = new Set<PoolMember<T>>();
  readonly #closings = new Set<Promise<void>>();
  #uses = 0;

  constructor(deps: PoolMembersDeps<T>) {
    this.#deps = deps;
  }

  get count(): number {
    return this.#serving.size;
  }

  /** Least recently used first. Sorts, so it is not for the path of a call. */
  get serving(): readonly PoolMember<T>[] {
    return [...this.#serving].sort((one, other) => one.usedNumber - other.usedNumber);
  }

  /** Serving items without a pending successor. */
  get staying(): number {
    let due = 0;
    for (const member of this.#marked) if (member.due) due++;
    return this.count - due;
  }

  /** Items that are not being replaced. */
  get fresh(): number {
    return this.count - this.#marked.size;
  }

  /**
   * The item used last that has room; one that is to be replaced only where there is no other.
   * @param isPreferred - another is chosen where none of the MAX_PREFERENCE_STEPS used last fits.
   */
  withRoom(isPreferred?: (item: T) => boolean): PoolMember<T> | undefined {
    const { callsPerItem } = this.#deps.limits;
    let steps = 0;
    let second: PoolMember<T> | undefined;
    let last: PoolMember<T> | undefined;
    for (let member = this.#order.newest; member; member = member.older) {
      if (member.leases >= callsPerItem || this.isExpired(member)) continue;
      if (member.outdated) last ??= member;
      else if (!isPreferred || isPreferred(member.item)) return member;
      else {
        second ??= member;
        if (++steps >= MAX_PREFERENCE_STEPS) break;
      }
    }
    return second ?? last;
  }

  /** The item that becomes the primary when the primary is closed. */
  get nextPrimary(): PoolMember<T> | undefined {
    const usable = this.serving.filter((member) => !this.isExpired(member));
    return usable.findLast(({ outdated }) => !outdated) ?? usable.at(-1);
  }

  /** Outdated items without a pending successor, unused ones first. */
  get outdated(): readonly PoolMember<T>[] {
    if (this.#marked.size === 0) return NONE;
    const waiting = [...this.#marked].filter(({ outdated, due }) => outdated && !due);
    const byUse = waiting.sort((one, other) => one.usedNumber - other.usedNumber);
    return byUse.sort((one, other) => Math.min(1, one.uses) - Math.min(1, other.uses));
  }

  get expired(): readonly PoolMember<T>[] {
    if (this.#deps.limits.lifetimeMs <= 0) return NONE;
    const expired: PoolMember<T>[] = [];
    for (const member of this.#serving) {
      if (!this.isExpired(member)) break;
      expired.push(member);
    }
    return expired;
  }

  /** True past the lifetime: such an item is not leased. */
  isExpired(member: PoolMember<T>): boolean {
    const { limits, clock } = this.#deps;
    return limits.lifetimeMs > 0 && isExpired(member, this.count, limits, clock.monotonic());
  }

  /** @param reason - false where it is to stay after all. */
  markOutdated(member: PoolMember<T>, reason: false | OutdatedReason): void {
    member.outdated = reason;
    this.#updateMarked(member);
  }

  /** @param due - true while its successor is being opened. */
  markDue(member: PoolMember<T>, due: boolean): void {
    member.due = due;
    this.#updateMarked(member);
  }

  #updateMarked(member: PoolMember<T>): void {
    if (member.state === 'serving' && (member.outdated || member.due)) this.#marked.add(member);
    else this.#marked.delete(member);
  }

  find(item: T): PoolMember<T> | undefined {
    return this.#byItem.get(item);
  }

  add(item: T): PoolMember<T> {
    const member = new PoolMember(item, this.#deps.clock.monotonic());
    member.usedNumber = ++this.#uses;
    this.#serving.add(member);
    this.#byItem.set(item, member);
    this.#order.touch(member);
    return member;
  }

  /** Removes an item without closing it. */
  remove(member: PoolMember<T>): void {
    this.#unserve(member);
    this.#leaving.delete(member);
    this.#byItem.delete(member.item);
    member.state = 'gone';
  }

  #unserve(member: PoolMember<T>): void {
    this.#serving.delete(member);
    this.#marked.delete(member);
    this.#order.remove(member);
  }

  lease(member: PoolMember<T>, use: LeaseUse): SessionLease<T> {
    this.use(member, use);
    return new MemberLease(this, member, use);
  }

  /** Begins a lease that its holder ends by `return`, once. */
  use(member: PoolMember<T>, use: LeaseUse): void {
    const room = use === 'primary' ? 0 : 1;
    const touch = use !== 'probe';
    member.leases += room;
    member.uses++;
    if (use === 'call') member.borrowed++;
    if (touch) this.#touch(member);
    // A probe keeps its place in the order.
    if (use === 'call' && member.leases >= this.#deps.limits.callsPerItem) this.#order.remove(member);
  }

  /** Ends a lease. */
  return(member: PoolMember<T>, use: LeaseUse, how: LeaseOutcome): void {
    if (use !== 'primary') member.leases--;
    if (use !== 'probe') this.#touch(member);
    if (how !== 'ok') this.retire(member, how);
    else member.healthyAt = this.#deps.clock.monotonic();
    this.#unuse(member);
  }

  #unuse(member: PoolMember<T>): void {
    member.uses--;
    if (member.uses === 0 && member.state === 'leaving') this.close(member);
    this.#deps.onReleased(member);
  }

  /** Keeps it from being closed until the returned function is called, once. */
  hold(member: PoolMember<T>): () => void {
    member.uses++;
    return () => this.#unuse(member);
  }

  /** Stops leasing the item and closes it after its last lease. */
  retire(member: PoolMember<T>, reason: SessionCloseReason): void {
    if (member.state !== 'serving') return;
    member.closeReason = reason;
    this.#unserve(member);
    member.state = 'leaving';
    this.#leaving.add(member);
    if (member.uses === 0) this.close(member);
  }

  /** Closes the item now, also while in use. */
  close(member: PoolMember<T>): void {
    if (member.state === 'gone') return;
    this.remove(member);
    this.closeLate(member.item, member.closeReason);
  }

  closeAll(): void {
    for (const member of [...this.#serving, ...this.#leaving]) this.close(member);
  }

  /** Closes an item that is no longer needed. */
  closeLate(item: T, reason: SessionCloseReason = 'closed'): void {
    const closing = this.#deps
      .close(item, reason)
      .catch(() => undefined)
      .then(() => {
        this.#closings.delete(closing);
        this.#deps.onClosed();
      });
    this.#closings.add(closing);
  }

  async whenClosed(): Promise<void> {
    await Promise.all(this.#closings);
  }

  #touch(member: PoolMember<T>): void {
    member.usedAt = this.#deps.clock.monotonic();
    member.usedNumber = ++this.#uses;
    if (member.state === 'serving') this.#order.touch(member);
  }
}

/** A class, because each call that waits holds a lease: closures would take twice the memory. */
class MemberLease<T> implements SessionLease<T> {
  readonly #members: PoolMembers<T>;
  readonly #member: PoolMember<T>;
  readonly #use: LeaseUse;
  #held = true;

  constructor(members: PoolMembers<T>, member: PoolMember<T>, use: LeaseUse) {
    this.#members = members;
    this.#member = member;
    this.#use = use;
  }

  get item(): T {
    return this.#member.item;
  }

  get openedAt(): number {
    return this.#member.openedAt;
  }

  release(how: LeaseOutcome): void {
    if (!this.#held) return;
    this.#held = false;
    this.#members.return(this.#member, this.#use, how);
  }
}
