/** A value that waits, and leaves once: by its turn, or by `remove`. */
export interface Removable {
  /** Harmless where the value has left. */
  remove(): void;
}

/** The place of one value in a chain. */
export class ChainLink<V extends object> implements Removable {
  value: V | undefined;
  chain: Chain<V> | undefined;
  previous: ChainLink<V> | undefined;
  next: ChainLink<V> | undefined;

  constructor(value: V, chain: Chain<V>, previous: ChainLink<V> | undefined) {
    this.value = value;
    this.chain = chain;
    this.previous = previous;
    this.next = undefined;
  }

  remove(): void {
    this.chain?.remove(this);
  }
}

/**
 * A queue from which a value may leave anywhere in one step. It needs one object per value, where a
 * Map needs a box, a table entry and a closure that removes it.
 */
export class Chain<V extends object> {
  #first: ChainLink<V> | undefined;
  #last: ChainLink<V> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The link that came in last. */
  get last(): ChainLink<V> | undefined {
    return this.#last;
  }

  /** Adds a value at the end. */
  push(value: V): ChainLink<V> {
    const link = new ChainLink(value, this, this.#last);
    if (this.#last) this.#last.next = link;
    else this.#first = link;
    this.#last = link;
    this.#size++;
    return link;
  }

  /** @returns false where the link has left. */
  remove(link: ChainLink<V>): boolean {
    if (link.chain !== this) return false;
    const { previous, next } = link;
    if (previous) previous.next = next;
    else this.#first = next;
    if (next) next.previous = previous;
    else this.#last = previous;
    // An old link that still pointed at newer ones would keep them until a full collection.
    link.chain = undefined;
    link.value = undefined;
    link.previous = undefined;
    link.next = undefined;
    this.#size--;
    return true;
  }

  /** Removes and returns the value that has been in longest. */
  shift(): V | undefined {
    return this.#take(this.#first);
  }

  /** Removes and returns the value that came in last. */
  pop(): V | undefined {
    return this.#take(this.#last);
  }

  #take(link: ChainLink<V> | undefined): V | undefined {
    const value = link?.value;
    if (link) this.remove(link);
    return value;
  }

  /** A copy, oldest first, so that values may be removed while it is iterated. */
  values(): V[] {
    const values: V[] = [];
    for (let link = this.#first; link; link = link.next) if (link.value) values.push(link.value);
    return values;
  }
}
