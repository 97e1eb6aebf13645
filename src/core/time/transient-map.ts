/**
 * A Map for entries that come and go all the time. When a Map grows or tidies up, V8 leaves the old
 * table behind, pointing at the new one; an old table that has reached the old generation then
 * keeps whatever stood in it, and in its successors, until the next full collection. Measured: 12
 * KB of finished calls kept for each call, and twice the time in the garbage collector. Here a
 * table holds boxes, and a box is emptied when its entry leaves.
 */
export class TransientMap<K, V extends object> {
  readonly #boxes = new Map<K, { value: V | undefined }>();

  get size(): number {
    return this.#boxes.size;
  }

  has(key: K): boolean {
    return this.#boxes.has(key);
  }

  get(key: K): V | undefined {
    return this.#boxes.get(key)?.value;
  }

  set(key: K, value: V): void {
    const box = this.#boxes.get(key);
    if (box) box.value = value;
    else this.#boxes.set(key, { value });
  }

  /** Sets the entry unless the key has one. */
  add(key: K, value: V): void {
    if (!this.#boxes.has(key)) this.#boxes.set(key, { value });
  }

  /** Deletes the entry of the key if it is this one. */
  remove(key: K, value: V): void {
    const box = this.#boxes.get(key);
    if (box?.value !== value) return;
    box.value = undefined;
    this.#boxes.delete(key);
  }

  delete(key: K): boolean {
    const box = this.#boxes.get(key);
    if (!box) return false;
    box.value = undefined;
    return this.#boxes.delete(key);
  }

  /** The entry that has been in longest. */
  first(): readonly [K, V] | undefined {
    for (const [key, { value }] of this.#boxes) return value === undefined ? undefined : [key, value];
    return undefined;
  }

  /** Oldest first. */
  *entries(): IterableIterator<readonly [K, V]> {
    for (const [key, { value }] of this.#boxes) if (value !== undefined) yield [key, value];
  }

  /** A copy, oldest first, so that entries may be removed while it is iterated. */
  values(): V[] {
    return [...this.#boxes.values()].flatMap(({ value }) => (value === undefined ? [] : [value]));
  }

  clear(): void {
    for (const box of this.#boxes.values()) box.value = undefined;
    this.#boxes.clear();
  }
}
