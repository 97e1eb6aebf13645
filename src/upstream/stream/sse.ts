import { isAscii } from 'node:buffer';
import { BYTE_ORDER_MARK } from '../../core/jsonrpc/message.ts';
import { MAX_READ_BYTES } from '../../core/jsonrpc/read-limit.ts';
import { ByteList } from '../../core/system/byte-list.ts';

/**
 * One event of a stream. `data` is undefined where it only carried an id or a retry time ("priming"
 * events).
 */
export interface SseEvent {
  /** In UTF-8, as it came. */
  readonly data: Buffer | undefined;
  /** undefined = the event had no id field. */
  readonly id: string | undefined;
}

export interface SseSink {
  event(event: SseEvent): void;
  retry(ms: number): void;
  /**
   * An event has grown past the limit; the rest of it is passed over. @param head - the first bytes
   * of its data.
   */
  skipped?(head: Buffer): void;
  /** The data of an event of another type than `message`. */
  other?(type: string, data: Buffer): void;
}

/** Bytes of a line that is no data: names, ids and times are short. A longer one is ignored. */
const MAX_FIELD_BYTES = 8 * 1024;
/** Bytes of an event that is too long which are kept to find out what it was. */
const MAX_HEAD_BYTES = 4 * 1024;

const LF = 10;
const CR = 13;
const COLON = 58;
const SPACE = 32;
const DATA = Buffer.from('data');
const DATA_LINE_BYTES = 'data:\n'.length;
const LINE_FEED = Buffer.of(LF);
const MARK_BYTES = Buffer.from(BYTE_ORDER_MARK);
const OTHER_FIELDS = ['event', 'id', 'retry'] as const;

/** The text of an event's data. Invalid UTF-8 becomes U+FFFD, as the grammar says. */
export const textOfData = (data: Buffer): string => data.toString(isAscii(data) ? 'latin1' : 'utf8');

/** True where `name` is the name of the field on the line from `start` to `end`. */
function isField(bytes: Buffer, start: number, end: number, name: Buffer | string): boolean {
  const after = start + name.length;
  if (after > end || (after < end && bytes[after] !== COLON)) return false;
  return typeof name === 'string'
    ? bytes.toString('latin1', start, after) === name
    : bytes.compare(name, 0, name.length, start, after) === 0;
}

/** Where the value begins on a line of a field of that name. */
function valueStart(bytes: Buffer, start: number, end: number, name: Buffer | string): number {
  const after = start + name.length + 1;
  return Math.min(end, bytes[after] === SPACE ? after + 1 : after);
}

/**
 * A parser for text/event-stream, by the WHATWG rules for its line grammar. Our own, because
 * resuming a stream needs the id of events without data, which the parsers at hand swallow. Bytes
 * are split at line ends of any kind, chunk boundaries anywhere, and data stays bytes; an event
 * that the end of the stream cuts is discarded, and one that is too long is passed over.
 */
export class SseParser {
  readonly #sink: SseSink;
  readonly #longest: number;
  /** A line whose end has not come. */
  readonly #partial = new ByteList();
  /** True while an unfinished line is long and not data: none of it is kept. */
  #ignoring = false;
  /** This event's data so far; undefined where it has none. */
  #data: ByteList | undefined;
  /** Bytes of this event's data lines beside their text, without the first one's. */
  #overhead = 0;
  #skipping = false;
  #id: string | undefined;
  #type = '';
  #touched = false;
  /** A CR ended the last line; an LF that follows belongs to it. */
  #swallowLf = false;
  #first = true;

  /** @param longest - bytes of one event's data, its line ends included. */
  constructor(sink: SseSink, longest = MAX_READ_BYTES) {
    this.#sink = sink;
    this.#longest = longest;
  }

  push(chunk: Uint8Array): void {
    const bytes = Buffer.isBuffer(chunk)
      ? chunk
      : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    if (this.#swallowLf && bytes.length > 0) {
      this.#swallowLf = false;
      if (bytes[0] === LF) start = 1;
    }
    let lf = bytes.indexOf(LF, start);
    let cr = bytes.indexOf(CR, start);
    while (lf >= 0 || cr >= 0) {
      const atCr = cr >= 0 && (lf < 0 || cr < lf);
      const end = atCr ? cr : lf;
      this.#endLine(bytes, start, end);
      start = end + 1;
      if (atCr) {
        if (start === bytes.length) this.#swallowLf = true;
        else if (bytes[start] === LF) start++;
        cr = bytes.indexOf(CR, start);
      }
      if (lf >= 0 && lf < start) lf = bytes.indexOf(LF, start);
    }
    if (start < bytes.length) this.#keep(bytes.subarray(start));
  }

  #keep(piece: Buffer): void {
    if (this.#ignoring) return;
    this.#partial.append(piece);
    const { length } = this.#partial;
    if (length <= MAX_FIELD_BYTES) return;
    const line = this.#partial.head(MAX_HEAD_BYTES);
    const start = this.#first && line.subarray(0, 3).equals(MARK_BYTES) ? 3 : 0;
    const isData = isField(line, start, line.length, DATA);
    if (isData && !this.#skipping && (this.#data?.length ?? 0) + length <= this.#longest) return;
    if (isData) this.#skip(line.subarray(valueStart(line, start, line.length, DATA)));
    this.#ignoring = true;
    this.#partial.clear();
  }

  /** @param piece - the first bytes of what is too much. */
  #skip(piece: Buffer): void {
    if (this.#skipping) return;
    this.#skipping = true;
    const head = this.#data?.head(MAX_HEAD_BYTES) ?? piece;
    this.#data = undefined;
    this.#sink.skipped?.(Buffer.from(head.subarray(0, MAX_HEAD_BYTES)));
  }

  #endLine(bytes: Buffer, start: number, end: number): void {
    if (this.#ignoring) {
      this.#ignoring = false;
      this.#first = false;
    } else if (this.#partial.length === 0) this.#line(bytes, start, end);
    else {
      if (end > start) this.#partial.append(bytes.subarray(start, end));
      const line = this.#partial.take();
      this.#line(line, 0, line.length);
    }
  }

  #line(bytes: Buffer, from: number, end: number): void {
    let start = from;
    if (this.#first) {
      this.#first = false;
      if (bytes.subarray(start, Math.min(end, start + 3)).equals(MARK_BYTES)) start += 3;
    }
    if (start === end) {
      this.#dispatch();
      return;
    }
    if (isField(bytes, start, end, DATA)) {
      this.#addData(bytes.subarray(valueStart(bytes, start, end, DATA), end));
      return;
    }
    if (end - start > MAX_FIELD_BYTES) return;
    const field = OTHER_FIELDS.find((name) => isField(bytes, start, end, name));
    if (!field) return;
    this.#setField(field, bytes.toString('utf8', valueStart(bytes, start, end, field), end));
  }

  #addData(value: Buffer): void {
    this.#touched = true;
    const before = this.#data;
    // A line without text counts too, as it came: it adds a line end, and takes time.
    if (before) this.#overhead += DATA_LINE_BYTES;
    if ((before?.length ?? 0) + value.length + this.#overhead > this.#longest) this.#skip(value);
    if (this.#skipping) return;
    before?.append(LINE_FEED);
    this.#data ??= new ByteList();
    this.#data.append(value);
  }

  #setField(field: (typeof OTHER_FIELDS)[number], value: string): void {
    switch (field) {
      case 'event':
        this.#type = value;
        break;
      case 'id':
        if (value.includes('\0')) break;
        this.#id = value;
        this.#touched = true;
        break;
      case 'retry':
        if (/^\d+$/.test(value)) this.#sink.retry(Number(value));
        break;
    }
  }

  #dispatch(): void {
    if (this.#touched && !this.#skipping) {
      const relevant = this.#type === '' || this.#type === 'message';
      const data = relevant && this.#data && this.#data.length > 0 ? this.#data.take() : undefined;
      if (!relevant && this.#data) this.#sink.other?.(this.#type, this.#data.take());
      this.#sink.event({ data, id: this.#id });
    }
    this.#data = undefined;
    this.#id = undefined;
    this.#type = '';
    this.#touched = false;
    this.#skipping = false;
    this.#overhead = 0;
  }
}
