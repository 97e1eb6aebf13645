import { TransientMap } from '../../core/time/transient-map.ts';
import type { ServingOrder } from '../../core/time/wait-queue.ts';

/** The turn that a waiter takes: one of its group, and in the group one of its member. */
export interface Share {
  /**
   * A token, or else an address: callers choose neither, so that more members bring no more turns.
   */
  readonly group: string;
  /** A session. */
  readonly member: string;
}

type Members<V extends object> = TransientMap<string, TransientMap<number, V>>;

/**
 * A queue in which groups take turns, and the members within each group: a caller with a thousand
 * requests delays another by one turn. FIFO within a member; every operation takes one step.
 */
export class FairQueue<V extends object, P> implements ServingOrder<V, P> {
  readonly #shareOf: (place: P) => Share | undefined;
  readonly #groups = new TransientMap<string, Members<V>>();
  /**
   * Values without a share take turns with the groups. A stdio client has no others: one table for
   * them costs half as much.
   */
  readonly #shareless = new TransientMap<number, V>();
  #sharelessNext = true;
  #shared = 0;
  #ticket = 0;

  constructor(shareOf: (place: P) => Share | undefined) {
    this.#shareOf = shareOf;
  }

  get size(): number {
    return this.#shared + this.#shareless.size;
  }

  /** @returns removes the value, unless it has had its turn. */
  add(value: V, place: P): () => void {
    const share = this.#shareOf(place);
    const ticket = this.#ticket++;
    if (!share) {
      this.#shareless.set(ticket, value);
      return () => void this.#shareless.delete(ticket);
    }
    const { group, member } = share;
    const members: Members<V> = this.#groups.get(group) ?? new TransientMap();
    const waiting: TransientMap<number, V> = members.get(member) ?? new TransientMap();
    waiting.set(ticket, value);
    members.set(member, waiting);
    this.#groups.set(group, members);
    this.#shared++;
    return () => {
      if (!waiting.delete(ticket)) return;
      this.#shared--;
      if (waiting.size === 0) members.delete(member);
      if (members.size === 0) this.#groups.delete(group);
    };
  }

  /** Removes and returns the value whose turn it is. */
  shift(): V | undefined {
    const takesShareless = this.#shared === 0 || (this.#sharelessNext && this.#shareless.size > 0);
    this.#sharelessNext = !takesShareless;
    return takesShareless ? this.#shareless.shift() : this.#shiftShared();
  }

  #shiftShared(): V | undefined {
    const [group, members] = this.#groups.first() ?? [];
    const [member, waiting] = members?.first() ?? [];
    if (group === undefined || member === undefined || !members || !waiting) return undefined;
    const value = waiting.shift();
    this.#shared--;
    // A group or member that has had a turn goes to the end.
    members.delete(member);
    if (waiting.size > 0) members.set(member, waiting);
    this.#groups.delete(group);
    if (members.size > 0) this.#groups.set(group, members);
    return value;
  }

  values(): V[] {
    const shared = this.#groups
      .values()
      .flatMap((members) => members.values().flatMap((waiting) => waiting.values()));
    return [...this.#shareless.values(), ...shared];
  }
}
