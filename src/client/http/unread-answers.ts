import { heapShare } from '../../core/system/heap-share.ts';

/**
 * Limit for buffered responses (tool lists that a layer edits) that clients have not read: a few of
 * the longest lists, within the memory of a small machine.
 */
const MAX_UNREAD_BYTES = heapShare(128 * 1024 * 1024);

interface HeldAnswer {
  readonly bytes: number;
  readonly cut: () => void;
}

/** Bounds the memory of responses for slow clients. */
export class UnreadAnswers {
  /** Oldest first. */
  readonly #held = new Set<HeldAnswer>();
  #bytes = 0;

  /**
   * Counts the unread bytes of one response. Beyond the limit, the oldest responses are cut off.
   * @returns releases the bytes; call it when they are sent or the client has gone.
   */
  hold(bytes: number, cut: () => void): () => void {
    const held: HeldAnswer = { bytes, cut };
    this.#held.add(held);
    this.#bytes += bytes;
    for (const oldest of this.#held) {
      // The newest response is always kept, however long.
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
