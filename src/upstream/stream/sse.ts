/**
 * One event of a stream. `data` is undefined where it only carried an id or a retry time ("priming"
 * events).
 */
export interface SseEvent {
  readonly data: string | undefined;
  /** undefined = the event had no id field. */
  readonly id: string | undefined;
}

export interface SseSink {
  event(event: SseEvent): void;
  retry(ms: number): void;
  /** An event was longer than the limits allow. */
  skipped?(): void;
}

/**
 * Half of what a JavaScript string can hold: an event that grows past it will never be a message.
 */
const MAX_EVENT = 256 * 1024 * 1024;

export interface SseLimits {
  /** Characters of one event. */
  readonly longest: number;
  /** True: a longer one is passed over. False: it ends the reading by a RangeError. */
  readonly skip: boolean;
}

/**
 * A parser for text/event-stream, by the WHATWG rules for its line grammar. Our own, because
 * resuming a stream needs the id of events without data, which the parsers at hand swallow. Text is
 * split at line ends of any kind, chunk boundaries anywhere; an event that the end of the stream
 * cuts is discarded.
 */
export class SseParser {
  readonly #sink: SseSink;
  readonly #limits: SseLimits;
  readonly #decoder = new TextDecoder('utf-8');
  /**
   * Pieces of a line whose end has not come: joined once, so that a huge event costs linear time.
   */
  #pieces: string[] = [];
  #partial = 0;
  /** Characters of this event's data so far. */
  #kept = 0;
  #skipping = false;
  #data: string[] = [];
  #id: string | undefined;
  #type = '';
  #touched = false;
  /** A CR ended the last line; an LF that follows belongs to it. */
  #swallowLf = false;

  constructor(sink: SseSink, limits: SseLimits = { longest: MAX_EVENT, skip: false }) {
    this.#sink = sink;
    this.#limits = limits;
  }

  push(chunk: Uint8Array): void {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (this.#swallowLf && text !== '') {
      this.#swallowLf = false;
      if (text.startsWith('\n')) text = text.slice(1);
    }
    let start = 0;
    let lf = text.indexOf('\n');
    let cr = text.indexOf('\r');
    while (lf >= 0 || cr >= 0) {
      const atCr = cr >= 0 && (lf < 0 || cr < lf);
      const end = atCr ? cr : lf;
      this.#endLine(text.slice(start, end));
      start = end + 1;
      if (atCr) {
        if (start === text.length) this.#swallowLf = true;
        else if (text.charCodeAt(start) === 10) start++;
        cr = text.indexOf('\r', start);
      }
      if (lf >= 0 && lf < start) lf = text.indexOf('\n', start);
    }
    if (start < text.length) this.#keep(text.slice(start));
  }

  #keep(piece: string): void {
    this.#partial += piece.length;
    this.#bound();
    // What is passed over reads as a comment, until the blank line that ends the event.
    if (this.#skipping) this.#pieces = [':'];
    else this.#pieces.push(piece);
  }

  #bound(): void {
    const { longest, skip } = this.#limits;
    if (this.#kept + this.#partial <= longest) return;
    if (!skip) throw new RangeError(`an event of more than ${longest} characters`);
    this.#skipping = true;
    this.#data = [];
  }

  #endLine(tail: string): void {
    if (this.#pieces.length === 0) {
      this.#line(tail);
      return;
    }
    this.#pieces.push(tail);
    const line = this.#pieces.join('');
    this.#pieces = [];
    this.#partial = 0;
    this.#line(line);
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line.charCodeAt(colon + 1) === 32 ? colon + 2 : colon + 1);
    switch (field) {
      case 'data':
        this.#touched = true;
        this.#kept += value.length;
        this.#bound();
        if (!this.#skipping) this.#data.push(value);
        break;
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
      const data = relevant ? this.#data.join('\n') : '';
      this.#sink.event({ data: data === '' ? undefined : data, id: this.#id });
    }
    if (this.#skipping) this.#sink.skipped?.();
    this.#data = [];
    this.#id = undefined;
    this.#type = '';
    this.#touched = false;
    this.#kept = 0;
    this.#skipping = false;
  }
}
