import type { SessionCloseReason } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import { isExpired, type Maintained, type PoolLimits } from './maintenance.ts';

/** How a lease ended; other than `ok`, the item is not to be used again. */
export type LeaseOutcome = 'ok' | 'broken' | 'unhealthy';

export interface SessionLease<T> {
  readonly item: T;
  /** On the monotonic clock. */
  readonly openedAt: number;
  /** Once; later calls do nothing. */
  release(how: LeaseOutcome): void;
}

/**
 * The purpose of a lease: a call that counts against the calls of an item, other use of the
 * primary, or a probe, which takes room and does not count as use.
 */
export type LeaseUse = 'call' | 'primary' | 'probe';

export interface PoolMember<T> extends Maintained {
  readonly item: T;
  leases: number;
  uses: number;
  usedAt: number;
  healthyAt: number;
  due: boolean;
  /** Leases for calls so far. */
  borrowed: number;
  /**
   * Why it is to be replaced, or false. It serves until its successor is open, or the pool can
   * close it.
   */
  outdated: false | 'recycled' | 'drain';
  /** Why it is leaving. */
  closeReason: SessionCloseReason;
  /** `leaving`: not leased any more, closed with its last lease. `gone`: closed or lost. */
  state: 'serving' | 'leaving' | 'gone';
}

export interface PoolMembersDeps<T> {
  readonly clock: Clock;
  readonly limits: PoolLimits;
  readonly close: (item: T, reason: SessionCloseReason) => Promise<void>;
  /** An item has been closed. */
  readonly onClosed: () => void;
  /** A lease of this item has ended. */
  readonly onReleased: (member: PoolMember<T>) => void;
}

/** The items of a pool with their users. Each is closed exactly once, when unused. */
export class PoolMembers<T> {
  readonly #deps: PoolMembersDeps<T>;
  /**
   * Serving items, least recently used first. Callers take from the end, so surplus items become
   * idle.
   */
  readonly #serving: PoolMember<T>[] = [];
  /** Items that are leaving or closing. */
  readonly #leaving = new Set<PoolMember<T>>();
  readonly #closings = new Set<Promise<void>>();

  constructor(deps: PoolMembersDeps<T>) {
    this.#deps = deps;
  }

  /** Least recently used first. */
  get serving(): readonly PoolMember<T>[] {
    return this.#serving;
  }

  /** Serving items without a pending successor. */
  get staying(): number {
    return this.#serving.filter(({ due }) => !due).length;
  }

  get withRoom(): PoolMember<T> | undefined {
    const { callsPerItem } = this.#deps.limits;
    return this.#choose(({ leases }) => leases < callsPerItem);
  }

  /** The item that becomes the primary when the primary is closed. */
  get nextPrimary(): PoolMember<T> | undefined {
    return this.#choose(() => true);
  }

  /** The item used last that may be leased; one that is not to be replaced, if there is one. */
  #choose(fits: (member: PoolMember<T>) => boolean): PoolMember<T> | undefined {
    const usable = (member: PoolMember<T>): boolean => fits(member) && !this.isExpired(member);
    return (
      this.#serving.findLast((member) => !member.outdated && usable(member)) ?? this.#serving.findLast(usable)
    );
  }

  /** Outdated items without a pending successor, unused ones first. */
  get outdated(): readonly PoolMember<T>[] {
    const waiting = this.#serving.filter(({ outdated, due }) => outdated && !due);
    return waiting.sort((a, b) => Math.min(1, a.uses) - Math.min(1, b.uses));
  }

  get expired(): readonly PoolMember<T>[] {
    return this.#serving.filter((member) => this.isExpired(member));
  }

  /** True past the lifetime: such an item is not leased. */
  isExpired(member: PoolMember<T>): boolean {
    const { limits, clock } = this.#deps;
    return limits.lifetimeMs > 0 && isExpired(member, this.#serving.length, limits, clock.monotonic());
  }

  /** Items that are not being replaced. */
  get fresh(): number {
    return this.#serving.filter(({ outdated, due }) => !outdated && !due).length;
  }

  find(item: T): PoolMember<T> | undefined {
    return [...this.#serving, ...this.#leaving].find(
      (member) => member.item === item && member.state !== 'gone',
    );
  }

  add(item: T): PoolMember<T> {
    const now = this.#deps.clock.monotonic();
    const times = { openedAt: now, usedAt: now, healthyAt: now };
    const member: PoolMember<T> = {
      item,
      ...times,
      leases: 0,
      uses: 0,
      due: false,
      borrowed: 0,
      outdated: false,
      closeReason: 'closed',
      state: 'serving',
    };
    this.#serving.push(member);
    return member;
  }

  /** Removes an item without closing it. */
  remove(member: PoolMember<T>): void {
    const at = this.#serving.indexOf(member);
    if (at >= 0) this.#serving.splice(at, 1);
    this.#leaving.delete(member);
    member.state = 'gone';
  }

  lease(member: PoolMember<T>, use: LeaseUse): SessionLease<T> {
    const room = use === 'primary' ? 0 : 1;
    const touch = use !== 'probe';
    member.leases += room;
    if (use === 'call') member.borrowed++;
    if (touch) this.#touch(member);
    const unuse = this.hold(member);
    let held = true;
    return {
      item: member.item,
      openedAt: member.openedAt,
      release: (how) => {
        if (!held) return;
        held = false;
        member.leases -= room;
        if (touch) this.#touch(member);
        if (how !== 'ok') this.retire(member, how);
        else member.healthyAt = this.#deps.clock.monotonic();
        unuse();
      },
    };
  }

  /** Keeps it from being closed until the returned function is called, once. */
  hold(member: PoolMember<T>): () => void {
    member.uses++;
    return () => {
      member.uses--;
      if (member.uses === 0 && member.state === 'leaving') this.close(member);
      this.#deps.onReleased(member);
    };
  }

  /** Stops leasing the item and closes it after its last lease. */
  retire(member: PoolMember<T>, reason: SessionCloseReason): void {
    if (member.state !== 'serving') return;
    member.closeReason = reason;
    this.remove(member);
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

  /** Resolves when everything that is being closed has been. */
  async whenClosed(): Promise<void> {
    await Promise.all(this.#closings);
  }

  #touch(member: PoolMember<T>): void {
    member.usedAt = this.#deps.clock.monotonic();
    const at = this.#serving.indexOf(member);
    if (at >= 0 && at < this.#serving.length - 1) this.#serving.push(...this.#serving.splice(at, 1));
  }
}
