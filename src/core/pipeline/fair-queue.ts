import { Chain, type ChainLink, type Removable } from '../time/chain.ts';
import { TransientMap } from '../time/transient-map.ts';
import type { ServingOrder } from '../time/wait-queue.ts';
import type { Client } from './call.ts';

/** The turn that a waiter takes: one of its group, and in the group one of its member. */
export interface Share {
  /**
   * A token, or else an address: callers choose neither, so that more members bring no more turns.
   */
  readonly group: string;
  /** A session. */
  readonly member: string;
}

/** The group of an HTTP client. */
export const groupOf = (address: string, token: string | undefined): string =>
  token === undefined ? address : `token ${token}`;

/** The share of an HTTP client; undefined for the one client on stdio. */
export function shareOf({ id, address, token, inSession }: Client): Share | undefined {
  if (address === undefined) return undefined;
  return { group: groupOf(address, token), member: inSession ? id : '' };
}

interface Group<V extends object> {
  size: number;
  readonly members: TransientMap<string, Chain<V>>;
}

/**
 * A queue in which groups take turns, and the members within each group: a caller with a thousand
 * requests delays another by one turn. FIFO within a member; adding and removing take one step.
 */
export class FairQueue<V extends object, P> implements ServingOrder<V, P> {
  readonly #shareOf: (place: P) => Share | undefined;
  readonly #groups = new TransientMap<string, Group<V>>();
  /**
   * Values without a share take turns with the groups. A stdio client has no others: one chain for
   * them costs half as much.
   */
  readonly #shareless = new Chain<V>();
  #sharelessNext = true;
  #shared = 0;

  constructor(shareOf: (place: P) => Share | undefined) {
    this.#shareOf = shareOf;
  }

  get size(): number {
    return this.#shared + this.#shareless.size;
  }

  add(value: V, place: P): Removable {
    const share = this.#shareOf(place);
    if (!share) return this.#shareless.push(value);
    const { group: name, member } = share;
    const group: Group<V> = this.#groups.get(name) ?? { size: 0, members: new TransientMap() };
    const waiting: Chain<V> = group.members.get(member) ?? new Chain();
    const link = waiting.push(value);
    group.members.set(member, waiting);
    this.#groups.set(name, group);
    group.size++;
    this.#shared++;
    return { remove: () => this.#remove(name, group, member, waiting, link) };
  }

  #remove(name: string, group: Group<V>, member: string, waiting: Chain<V>, link: ChainLink<V>): void {
    if (!waiting.remove(link)) return;
    this.#shared--;
    group.size--;
    if (waiting.size === 0) group.members.delete(member);
    if (group.size === 0) this.#groups.delete(name);
  }

  /** Removes and returns the value whose turn it is. */
  shift(): V | undefined {
    const takesShareless = this.#shared === 0 || (this.#sharelessNext && this.#shareless.size > 0);
    this.#sharelessNext = !takesShareless;
    return takesShareless ? this.#shareless.shift() : this.#shiftShared();
  }

  #shiftShared(): V | undefined {
    const [name, group] = this.#groups.first() ?? [];
    const [member, waiting] = group?.members.first() ?? [];
    if (name === undefined || member === undefined || !group || !waiting) return undefined;
    const value = waiting.shift();
    this.#shared--;
    group.size--;
    // A group or member that has had a turn goes to the end.
    group.members.delete(member);
    if (waiting.size > 0) group.members.set(member, waiting);
    this.#groups.delete(name);
    if (group.size > 0) this.#groups.set(name, group);
    return value;
  }

  /**
   * Removes and returns the newest value of the share that has most, if it has at least two more
   * than that of `place`: where the queue is full, a caller with few requests takes the place of
   * one with many. Looks through all groups.
   */
  displaceFor(place: P): V | undefined {
    const share = this.#shareOf(place);
    const own = share ? (this.#groups.get(share.group)?.size ?? 0) : this.#shareless.size;
    let largest: { readonly name: string | undefined; readonly size: number } = {
      name: undefined,
      size: this.#shareless.size,
    };
    for (const [name, { size }] of this.#groups.entries()) if (size > largest.size) largest = { name, size };
    if (largest.size > own + 1) return this.#takeNewest(largest.name);
    return share && this.#displaceInGroup(share);
  }

  #displaceInGroup({ group, member }: Share): V | undefined {
    const members = this.#groups.get(group)?.members;
    const own = members?.get(member)?.size ?? 0;
    const most = Math.max(0, ...(members?.values() ?? []).map(({ size }) => size));
    return most > own + 1 ? this.#takeNewest(group) : undefined;
  }

  /** Takes from the largest member of the group; undefined names the values without a share. */
  #takeNewest(name: string | undefined): V | undefined {
    if (name === undefined) return this.#shareless.pop();
    const group = this.#groups.get(name);
    let largest: readonly [string, Chain<V>] | undefined;
    for (const entry of group?.members.entries() ?? []) {
      if (!largest || entry[1].size > largest[1].size) largest = entry;
    }
    if (!group || !largest) return undefined;
    const [member, waiting] = largest;
    const { last } = waiting;
    const value = last?.value;
    if (last) this.#remove(name, group, member, waiting, last);
    return value;
  }

  /** How many turns come before the next value of this place's share, if nothing else arrives. */
  turnsBefore(place: P): number {
    const share = this.#shareOf(place);
    if (!share) return this.#rounds(this.#shareless.size, undefined);
    const group = this.#groups.get(share.group);
    const round = group?.members.get(share.member)?.size ?? 0;
    let inGroup = 0;
    for (const [member, { size }] of group?.members.entries() ?? []) {
      inGroup += Math.min(size, member === share.member ? round : round + 1);
    }
    return this.#rounds(inGroup, share.group);
  }

  /** The turns of all groups while `own` of one group pass. */
  #rounds(own: number, name: string | undefined): number {
    let turns = own;
    if (name !== undefined) turns += Math.min(this.#shareless.size, own + 1);
    for (const [other, { size }] of this.#groups.entries()) {
      if (other !== name) turns += Math.min(size, own + 1);
    }
    return turns;
  }

  values(): V[] {
    const groups = this.#groups
      .values()
      .map(({ members }) => inTurns(members.values().map((waiting) => waiting.values())));
    const shareless = this.#shareless.values();
    return inTurns(this.#sharelessNext ? [shareless, ...groups] : [...groups, shareless]);
  }
}

/** Two fair queues: values whose place is ahead come before all others. */
export class AheadQueue<V extends object, P> implements ServingOrder<V, P> {
  readonly #isAhead: (place: P) => boolean;
  readonly #ahead: FairQueue<V, P>;
  readonly #others: FairQueue<V, P>;

  constructor(isAhead: (place: P) => boolean, shareOf: (place: P) => Share | undefined) {
    this.#isAhead = isAhead;
    this.#ahead = new FairQueue(shareOf);
    this.#others = new FairQueue(shareOf);
  }

  get size(): number {
    return this.#ahead.size + this.#others.size;
  }

  add(value: V, place: P): Removable {
    return (this.#isAhead(place) ? this.#ahead : this.#others).add(value, place);
  }

  shift(): V | undefined {
    return this.#ahead.shift() ?? this.#others.shift();
  }

  /** How many turns come before the next value of this place, if nothing else arrives. */
  turnsBefore(place: P): number {
    return this.#isAhead(place)
      ? this.#ahead.turnsBefore(place)
      : this.#ahead.size + this.#others.turnsBefore(place);
  }

  values(): V[] {
    return [...this.#ahead.values(), ...this.#others.values()];
  }
}

/** One value of each list in turn. */
function inTurns<V>(lists: readonly (readonly V[])[]): V[] {
  const most = Math.max(0, ...lists.map(({ length }) => length));
  return Array.from({ length: most }, (_none, round) =>
    lists.flatMap((list) => (round < list.length ? [list[round] as V] : [])),
  ).flat();
}
