/**
 * Shorter pieces are copied together: each Buffer costs 100 bytes, and may keep a block of 64 KiB
 * that others have left.
 */
const MIN_OWN_BYTES = 4 * 1024;
/** A piece that is copied into has at least so much room, and doubles up to the second figure. */
const MIN_BLOCK_BYTES = 512;
const MAX_BLOCK_BYTES = 64 * 1024;

const EMPTY = Buffer.alloc(0);

/**
 * Bytes that come in pieces of any size: takes memory in proportion to the bytes, and time as well.
 */
export class ByteList {
  #pieces: Buffer[] = [];
  /** The last piece, where it has room for more; the first `#used` bytes of it count. */
  #block: Buffer | undefined;
  #used = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(piece: Buffer): void {
    this.#length += piece.length;
    // Most bodies come in one piece.
    if (this.#length === piece.length || piece.length >= MIN_OWN_BYTES) {
      this.#seal();
      if (piece.length > 0) this.#pieces.push(piece);
      return;
    }
    const block = this.#roomFor(piece.length);
    piece.copy(block, this.#used);
    this.#used += piece.length;
  }

  #seal(): void {
    if (this.#block) this.#pieces.push(this.#block.subarray(0, this.#used));
    this.#block = undefined;
    this.#used = 0;
  }

  #roomFor(bytes: number): Buffer {
    if (this.#block && this.#used + bytes <= this.#block.length) return this.#block;
    // Pieces that came before it and are short go into one block with it, so that what has come
    // stays in one piece.
    const last = this.#block ? this.#block.subarray(0, this.#used) : this.#shortLast();
    const joined = last && last.length + bytes <= MAX_BLOCK_BYTES / 2 ? last : undefined;
    if (last && !joined) this.#pieces.push(last);
    const wanted = Math.max(MIN_BLOCK_BYTES, 2 * ((joined?.length ?? 0) + bytes));
    const block = Buffer.allocUnsafeSlow(Math.min(MAX_BLOCK_BYTES, wanted));
    this.#used = joined ? joined.copy(block) : 0;
    this.#block = block;
    return block;
  }

  #shortLast(): Buffer | undefined {
    const last = this.#pieces.at(-1);
    return last && last.length < MIN_OWN_BYTES ? this.#pieces.pop() : undefined;
  }

  /** The first bytes, at most so many; they stay in the list. */
  head(most: number): Buffer {
    const first = this.#pieces[0] ?? this.#block?.subarray(0, this.#used) ?? EMPTY;
    if (first.length >= Math.min(most, this.#length)) return first.subarray(0, most);
    const pieces = this.#block ? [...this.#pieces, this.#block.subarray(0, this.#used)] : this.#pieces;
    const wanted: Buffer[] = [];
    for (let at = 0, bytes = 0; bytes < most && at < pieces.length; at++) {
      const piece = pieces[at] ?? EMPTY;
      wanted.push(piece);
      bytes += piece.length;
    }
    return Buffer.concat(wanted).subarray(0, most);
  }

  /** All bytes in one piece; they stay in the list. */
  peek(): Buffer {
    const { length } = this.#pieces;
    if (this.#block && length === 0) return this.#block.subarray(0, this.#used);
    const pieces = this.#block ? [...this.#pieces, this.#block.subarray(0, this.#used)] : this.#pieces;
    const [only] = pieces;
    return pieces.length === 1 && only ? only : Buffer.concat(pieces, this.#length);
  }

  /** All bytes in one piece; the list is empty afterwards. */
  take(): Buffer {
    const bytes = this.peek();
    this.clear();
    return bytes;
  }

  /** All bytes, in the pieces in which they are kept; the list is empty afterwards. */
  takePieces(): Buffer[] {
    this.#seal();
    const pieces = this.#pieces;
    this.clear();
    return pieces;
  }

  clear(): void {
    this.#pieces = [];
    this.#block = undefined;
    this.#used = 0;
    this.#length = 0;
  }
}
