import { heapShare } from '../../core/system/heap-share.ts';

/** Longer than any useful message, and half of the longest JavaScript string. */
export const MAX_LINE_BYTES = heapShare(256 * 1024 * 1024);

const LF = 10;
const CR = 13;

export interface LineSink {
  line(bytes: Buffer): void;
  /** A line exceeded the bound and was discarded. */
  tooLong(bytes: number): void;
}

/**
 * Splits a byte stream into lines at LF or CR LF and drops blank lines. It splits bytes before
 * decoding, so that chunk boundaries may cut characters, and joins pieces once, so that a 20 MB
 * line costs linear time.
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

  /** Ends the stream; text after the last line end counts as a line. */
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
