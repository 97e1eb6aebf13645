import { TransientMap } from '../../core/time/transient-map.ts';

/** Whose turn it is that a waiter takes: that of its group, and in it that of its member. */
export interface Share {
  /**
   * By token, or else by address: callers choose neither, so that nobody gets more turns by more
   * members.
   */
  readonly group: string;
  /** By session. */
  readonly member: string;
}

type Members<V extends object> = TransientMap<string, TransientMap<number, V>>;

const ALONE: Share = { group: '', member: '' };

/**
 * A queue in which groups take turns, and in each group its members: a caller with a thousand
 * waiting requests delays another one's first by one turn. Those of one member keep their order.
 * Each operation takes one step, however many wait.
 */
export class FairQueue<V extends object> {
  readonly #groups = new TransientMap<string, Members<V>>();
  #size = 0;
  #ticket = 0;

  get size(): number {
    return this.#size;
  }

  /** @returns takes the value out again, harmless where it has had its turn. */
  add(value: V, { group, member }: Share = ALONE): () => void {
    const members: Members<V> = this.#groups.get(group) ?? new TransientMap();
    const waiting: TransientMap<number, V> = members.get(member) ?? new TransientMap();
    const ticket = this.#ticket++;
    waiting.set(ticket, value);
    members.set(member, waiting);
    this.#groups.set(group, members);
    this.#size++;
    return () => {
      if (!waiting.delete(ticket)) return;
      this.#size--;
      if (waiting.size === 0) members.delete(member);
      if (members.size === 0) this.#groups.delete(group);
    };
  }

  /** Takes out the value whose turn it is. */
  shift(): V | undefined {
    const [group, members] = this.#groups.first() ?? [];
    const [member, waiting] = members?.first() ?? [];
    if (group === undefined || member === undefined || !members || !waiting) return undefined;
    const value = waiting.shift();
    this.#size--;
    // Those that have had a turn go to the end.
    members.delete(member);
    if (waiting.size > 0) members.set(member, waiting);
    this.#groups.delete(group);
    if (members.size > 0) this.#groups.set(group, members);
    return value;
  }

  values(): V[] {
    return this.#groups
      .values()
      .flatMap((members) => members.values().flatMap((waiting) => waiting.values()));
  }

  clear(): void {
    this.#groups.clear();
    this.#size = 0;
  }
}
