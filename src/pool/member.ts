import type { SessionCloseReason } from '../core/pipeline/events.ts';
import type { Maintained } from './maintenance.ts';

/** Why an item is replaced or removed although it works. */
export type OutdatedReason = 'recycled' | 'drain' | 'resize';

/** An item of a pool, and how it is used. Only PoolMembers writes its fields. */
export class PoolMember<T> implements Maintained {
  readonly item: T;
  readonly openedAt: number;
  usedAt: number;
  healthyAt: number;
  /** The number of its last use: uses within one millisecond have an order too. */
  usedNumber = 0;
  /** Leases that count against the calls of an item. */
  leases = 0;
  uses = 0;
  /** Leases for calls so far. */
  borrowed = 0;
  due = false;
  /** It serves until its successor is open, or the pool can close it. */
  outdated: false | OutdatedReason = false;
  /** Why it is leaving. */
  closeReason: SessionCloseReason = 'closed';
  /** `leaving`: not leased any more, closed with its last lease. `gone`: closed or lost. */
  state: 'serving' | 'leaving' | 'gone' = 'serving';
  older: PoolMember<T> | undefined = undefined;
  newer: PoolMember<T> | undefined = undefined;
  isLinked = false;

  constructor(item: T, now: number) {
    this.item = item;
    this.openedAt = now;
    this.usedAt = now;
    this.healthyAt = now;
  }
}

/**
 * Members in the order of their last use, as a linked list: a borrow and a return take the same
 * time with a thousand members as with one.
 */
export class UseOrder<T> {
  #newest: PoolMember<T> | undefined;

  /** The member used last. */
  get newest(): PoolMember<T> | undefined {
    return this.#newest;
  }

  /** Makes it the one used last; adds it where it is not in the list. */
  touch(member: PoolMember<T>): void {
    if (member === this.#newest) return;
    this.remove(member);
    member.older = this.#newest;
    if (this.#newest) this.#newest.newer = member;
    this.#newest = member;
    member.isLinked = true;
  }

  /** Harmless for one that is not in the list. */
  remove(member: PoolMember<T>): void {
    if (!member.isLinked) return;
    const { older, newer } = member;
    if (older) older.newer = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    member.older = undefined;
    member.newer = undefined;
    member.isLinked = false;
  }
}
