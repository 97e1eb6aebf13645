/** The memory of a map entry beyond its texts. */
const ENTRY_BYTES = 256;

interface Entry<V> {
  readonly value: V;
  readonly bytes: number;
}

export interface SizedMapLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** A map that is bounded in bytes as well: the entries that were set longest ago leave first. */
export class SizedMap<V> {
  readonly #limits: SizedMapLimits;
  readonly #entries = new Map<string, Entry<V>>();
  #bytes = 0;

  constructor(limits: SizedMapLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)?.value;
  }

  /** @param bytes - of the value; one that would not fit into an empty map is not kept. */
  set(key: string, value: V, bytes: number): void {
    this.delete(key);
    const { maxEntries, maxBytes } = this.#limits;
    const entry = { value, bytes: bytes + key.length + ENTRY_BYTES };
    if (entry.bytes > maxBytes) return;
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries && this.#bytes <= maxBytes) break;
      this.delete(oldest);
    }
  }

  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (!entry) return false;
    this.#bytes -= entry.bytes;
    return this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  /** The values, oldest first. */
  values(): V[] {
    return [...this.#entries.values()].map(({ value }) => value);
  }
}
