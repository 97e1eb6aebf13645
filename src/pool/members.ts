import type { SessionCloseReason } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import type { Maintained } from './maintenance.ts';

/** How a lease ended; other than `ok`, the item is not to be used again. */
export type LeaseOutcome = 'ok' | 'broken' | 'unhealthy';

export interface SessionLease<T> {
  readonly item: T;
  /** On the monotonic clock. */
  readonly openedAt: number;
  /** Once; later calls do nothing. */
  release(how: LeaseOutcome): void;
}

/** Replaces an item that the caller ends. */
export interface Replacement<T> {
  complete(fresh: T): void;
  fail(error: unknown): void;
  /** No one wanted it any more, which says nothing about the server. */
  abandon(): void;
}

export interface PoolMember<T> extends Maintained {
  readonly item: T;
  leases: number;
  uses: number;
  usedAt: number;
  healthyAt: number;
  due: boolean;
  /**
   * Why it is to be replaced, or false. It serves until its successor is open, or the pool can
   * close it.
   */
  outdated: false | 'recycled' | 'drain';
  /** Why it is leaving. */
  closeReason: SessionCloseReason;
  /** Leases of callers so far. */
  borrowed: number;
  /** `leaving`: not leased any more, closed with its last lease. `gone`: closed. */
  state: 'serving' | 'leaving' | 'gone';
}

export interface PoolMembersDeps<T> {
  readonly clock: Clock;
  readonly callsPerItem: number;
  /** True past the lifetime: such an item is not leased. */
  readonly isExpired: (member: PoolMember<T>) => boolean;
  readonly close: (item: T, reason: SessionCloseReason) => Promise<void>;
  /** An item has been closed. */
  readonly onClosed: () => void;
  /** Something came back or went away. */
  readonly onChange: () => void;
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

  /** An item counts until it is closed: it still exists at the server. */
  get size(): number {
    return this.#serving.length + this.#leaving.size;
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
    const { callsPerItem, isExpired } = this.#deps;
    const hasRoom = (member: PoolMember<T>): boolean => member.leases < callsPerItem && !isExpired(member);
    return (
      this.#serving.findLast((member) => !member.outdated && hasRoom(member)) ??
      this.#serving.findLast(hasRoom)
    );
  }

  /** Outdated items without a pending successor, unused ones first. */
  get outdated(): readonly PoolMember<T>[] {
    const waiting = this.#serving.filter(({ outdated, due }) => outdated && !due);
    return waiting.sort((a, b) => Math.min(1, a.uses) - Math.min(1, b.uses));
  }

  get expired(): readonly PoolMember<T>[] {
    return this.#serving.filter(this.#deps.isExpired);
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

  add(item: T): void {
    const now = this.#deps.clock.monotonic();
    this.#serving.push({
      item,
      leases: 0,
      uses: 0,
      openedAt: now,
      usedAt: now,
      healthyAt: now,
      due: false,
      outdated: false,
      closeReason: 'closed',
      borrowed: 0,
      state: 'serving',
    });
  }

  /** Removes an item that the caller closes. */
  detach(member: PoolMember<T>): void {
    this.#remove(member);
    member.state = 'gone';
  }

  /** @param touch - false where it does not count as use, and the item grows old all the same. */
  lease(member: PoolMember<T>, touch = true): SessionLease<T> {
    member.leases++;
    if (touch) {
      member.borrowed++;
      this.#touch(member);
    }
    const unuse = this.hold(member);
    let held = true;
    return {
      item: member.item,
      openedAt: member.openedAt,
      release: (how) => {
        if (!held) return;
        held = false;
        member.leases--;
        if (touch) this.#touch(member);
        if (how !== 'ok') this.retire(member, how);
        else member.healthyAt = this.#deps.clock.monotonic();
        unuse();
      },
    };
  }

  /** Keeps it from being closed until the returned function is called. */
  hold(member: PoolMember<T>): () => void {
    member.uses++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      member.uses--;
      if (member.uses === 0 && member.state === 'leaving') this.close(member);
      this.#deps.onChange();
    };
  }

  /** Stops leasing the item and closes it after its last lease. */
  retire(member: PoolMember<T>, reason: SessionCloseReason): void {
    if (member.state !== 'serving') return;
    member.closeReason = reason;
    this.#remove(member);
    member.state = 'leaving';
    this.#leaving.add(member);
    if (member.uses === 0) this.close(member);
  }

  /** Closes the item now, also while in use. */
  close(member: PoolMember<T>): void {
    if (member.state === 'gone') return;
    this.detach(member);
    this.#leaving.add(member);
    this.closeLate(member.item, () => this.#leaving.delete(member), member.closeReason);
  }

  closeAll(): void {
    for (const member of [...this.#serving, ...this.#leaving]) this.close(member);
  }

  /** Closes an item that is no longer needed. */
  closeLate(item: T, over: () => void = () => undefined, reason: SessionCloseReason = 'closed'): void {
    const closing = this.#deps
      .close(item, reason)
      .catch(() => undefined)
      .then(() => {
        over();
        this.#closings.delete(closing);
        this.#deps.onClosed();
        this.#deps.onChange();
      });
    this.#closings.add(closing);
  }

  /** Resolves when everything that is being closed has been. */
  async whenClosed(): Promise<void> {
    await Promise.all(this.#closings);
  }

  #remove(member: PoolMember<T>): void {
    const at = this.#serving.indexOf(member);
    if (at >= 0) this.#serving.splice(at, 1);
    this.#leaving.delete(member);
  }

  #touch(member: PoolMember<T>): void {
    member.usedAt = this.#deps.clock.monotonic();
    const at = this.#serving.indexOf(member);
    if (at >= 0) this.#serving.push(...this.#serving.splice(at, 1));
  }
}
