/**
 * For answers that are not streamed, because a layer reads them first (lists of tools), and that
 * their clients have not taken yet: of all clients together. Some of the longest lists there are,
 * and no more than a small machine can spare.
 */
const MAX_UNREAD_BYTES = 128 * 1024 * 1024;

interface HeldAnswer {
  readonly bytes: number;
  readonly cut: () => void;
}

/** What the listener holds of answers for clients that read slowly, or not at all. */
export class UnreadAnswers {
  /** In the order that they came in. */
  readonly #held = new Set<HeldAnswer>();
  #bytes = 0;

  /**
   * Counts what waits for one client. Where that makes too much, those who have had theirs the
   * longest are cut.
   * @returns what to call when all of it is taken, or its client has gone.
   */
  hold(bytes: number, cut: () => void): () => void {
    const held: HeldAnswer = { bytes, cut };
    this.#held.add(held);
    this.#bytes += bytes;
    for (const oldest of this.#held) {
      // The last one may be as long as it likes: somebody has to get it.
      if (this.#bytes <= MAX_UNREAD_BYTES || oldest === held) break;
      this.#release(oldest);
      oldest.cut();
    }
    return () => this.#release(held);
  }

  #release(held: HeldAnswer): void {
    if (this.#held.delete(held)) this.#bytes -= held.bytes;
  }
}
