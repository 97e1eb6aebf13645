/** One event of a stream. `data` is undefined where it only carried an id or a retry time ("priming" events). */
export interface SseEvent {
  readonly data: string | undefined;
  /** undefined = the event had no id field. */
  readonly id: string | undefined;
}

export interface SseSink {
  event(event: SseEvent): void;
  retry(ms: number): void;
}

/** Half of what a JavaScript string can hold: a line that grows past it will never be a message. */
const LONGEST_EVENT = 256 * 1024 * 1024;

/**
 * A parser for text/event-stream, by the WHATWG rules for its line grammar. Our own, because resuming a stream needs the id of
 * events without data, which the parsers at hand swallow. Text is split at line ends of any kind, chunk boundaries anywhere;
 * an event that the end of the stream cuts is discarded.
 */
export class SseParser {
  readonly #sink: SseSink;
  readonly #decoder = new TextDecoder('utf-8');
  /** Pieces of a line whose end has not come: joined once, so that a huge event costs linear time. */
  #pieces: string[] = [];
  #kept = 0;
  #data: string[] = [];
  #id: string | undefined;
  #type = '';
  #touched = false;
  /** A CR ended the last line; an LF that follows belongs to it. */
  #swallowLf = false;

  constructor(sink: SseSink) {
    this.#sink = sink;
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
    this.#kept += piece.length;
    if (this.#kept > LONGEST_EVENT) throw new RangeError(`an event of more than ${LONGEST_EVENT} characters`);
    this.#pieces.push(piece);
  }

  #endLine(tail: string): void {
    if (this.#pieces.length === 0) {
      this.#line(tail);
      return;
    }
    this.#pieces.push(tail);
    const line = this.#pieces.join('');
    this.#pieces = [];
    this.#kept = 0;
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
        this.#data.push(value);
        this.#touched = true;
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
    if (this.#touched) {
      const relevant = this.#type === '' || this.#type === 'message';
      const data = relevant ? this.#data.join('\n') : '';
      this.#sink.event({ data: data === '' ? undefined : data, id: this.#id });
    }
    this.#data = [];
    this.#id = undefined;
    this.#type = '';
    this.#touched = false;
  }
}
