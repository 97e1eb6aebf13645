/** A member of the list. Only the list writes these fields. */
export interface Ordered<M> {
  older: M | undefined;
  newer: M | undefined;
  linked: boolean;
}

/**
 * Members in the order of their last use, as a linked list: a borrow and a return take the same
 * time with a thousand members as with one.
 */
export class UseOrder<M extends Ordered<M>> {
  #newest: M | undefined;

  /** The member used last. */
  get newest(): M | undefined {
    return this.#newest;
  }

  /** Makes it the one used last; adds it where it is not in the list. */
  touch(member: M): void {
    if (member === this.#newest) return;
    this.remove(member);
    member.older = this.#newest;
    if (this.#newest) this.#newest.newer = member;
    this.#newest = member;
    member.linked = true;
  }

  /** Harmless for one that is not in the list. */
  remove(member: M): void {
    if (!member.linked) return;
    const { older, newer } = member;
    if (older) older.newer = newer;
    if (newer) newer.older = older;
    else this.#newest = older;
    member.older = undefined;
    member.newer = undefined;
    member.linked = false;
  }
}
