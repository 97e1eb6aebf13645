/**
 * Longer than any message that a client has reason to send, and half of what a JavaScript string
 * can hold.
 */
export const MAX_LINE_BYTES = 256 * 1024 * 1024;

const LF = 10;
const CR = 13;

export interface LineSink {
  line(bytes: Buffer): void;
  /** A line passed the bound; what it held is gone. */
  tooLong(bytes: number): void;
}

/**
 * Cuts a byte stream into lines at LF or CR LF; blank lines vanish. Bytes are split before they are
 * decoded, so that a character cut by a chunk boundary survives; pieces are joined once, so that a
 * 20 MB line costs linear time.
 */
export class LineSplitter {
  readonly #sink: LineSink;
  readonly #maxBytes: number;
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(sink: LineSink, maxBytes = MAX_LINE_BYTES) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      this.#add(chunk.subarray(start, end));
      this.#finish();
      start = end + 1;
    }
    if (start < chunk.length) this.#add(chunk.subarray(start));
  }

  /** The stream has ended: what stands after the last line end is a line too. */
  end(): void {
    this.#finish();
  }

  #add(piece: Buffer): void {
    this.#length += piece.length;
    if (this.#length > this.#maxBytes) this.#pieces = [];
    else if (piece.length > 0) this.#pieces.push(piece);
  }

  #finish(): void {
    const length = this.#length;
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#length = 0;
    if (length > this.#maxBytes) {
      this.#sink.tooLong(length);
      return;
    }
    const [only] = pieces;
    if (!only) return;
    const line = pieces.length === 1 ? only : Buffer.concat(pieces);
    const bytes = line.at(-1) === CR ? line.subarray(0, -1) : line;
    if (!isBlank(bytes)) this.#sink.line(bytes);
  }
}

function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 32 && byte !== 9 && byte !== CR) return false;
  return true;
}
