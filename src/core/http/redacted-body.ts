import type { Redactor } from '../errors/redact.ts';
import type { BodySink, HttpFacts } from '../pipeline/call.ts';

/** The only header whose value may be a secret that the client owns. */
const SESSION_ID = 'mcp-session-id';

/** The head without known secrets; the same head where it has none. */
export function redactedHead(head: HttpFacts, redactor: Redactor): HttpFacts {
  // One search over all values: this runs for every answer, and nearly none holds a secret.
  let all = '';
  for (const name in head.headers) {
    const value = head.headers[name];
    if (!isHarmless(name, value)) all += `${value}\n`;
  }
  if (all === '' || !redactor.hasKnown(all)) return head;
  let cleaned: Record<string, HeaderValue> | undefined;
  for (const name in head.headers) {
    if (name === SESSION_ID) continue;
    const value = head.headers[name];
    const shown = redactedValue(value, redactor);
    if (shown === value) continue;
    cleaned ??= { ...head.headers };
    cleaned[name] = shown;
  }
  return cleaned ? { ...head, headers: cleaned } : head;
}

/** True for the headers of nearly every answer, whose values have no room for a secret. */
function isHarmless(name: string, value: HeaderValue): boolean {
  switch (name) {
    case 'content-type':
      return value === 'application/json' || value === 'text/event-stream';
    case 'connection':
      return value === 'keep-alive' || value === 'close';
    case 'content-length':
      return true;
    case 'date':
      return typeof value === 'string' && DATE.test(value);
    default:
      return false;
  }
}

/** RFC 9110, 5.6.7. */
const DATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/;

type HeaderValue = HttpFacts['headers'][string];

function redactedValue(value: HeaderValue, redactor: Redactor): HeaderValue {
  if (typeof value === 'string') return redactor.withoutKnown(value);
  if (!value) return value;
  const cleaned = value.map((item) => redactor.withoutKnown(item));
  return cleaned.some((item, at) => item !== value[at]) ? cleaned : value;
}

/**
 * Errors are short. In a longer one, known secrets are found in passing, and patterns perhaps in
 * part.
 */
const MAX_HELD_BYTES = 64 * 1024;

const ENDS_EVENT = /(?:\n\n|\r\r|\n\r)$/;

/**
 * A body that passes to a client as it comes. Errors in it lose their secrets, also where a secret
 * is split between two pieces; results keep their text.
 */
export class RedactedBody implements BodySink {
  readonly #sink: BodySink;
  readonly #redactor: Redactor;
  readonly #refused: boolean;
  readonly #isJson: boolean;
  readonly #isEvents: boolean;
  #first = true;
  /** True while the passing bytes belong to an error. */
  #failing = false;
  /** The error so far; each byte is one character. */
  #held: string[] = [];
  #heldBytes = 0;
  /** The last characters that have come. */
  #tail = '';

  constructor(sink: BodySink, { status, headers }: HttpFacts, redactor: Redactor) {
    this.#sink = sink;
    this.#redactor = redactor;
    this.#refused = status < 200 || status >= 300;
    const type = String(headers['content-type'] ?? '').toLowerCase();
    this.#isEvents = type.startsWith('text/event-stream');
    this.#isJson = type.startsWith('application/json');
  }

  write(chunk: Uint8Array): Promise<void> {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    // It was read whole, and its length is not announced.
    if (this.#refused) return this.#sink.write(Buffer.from(this.#redactor.clean(bytes.toString('utf8'))));
    const fails = bytes.includes(FAILURE_KEYS_END);
    this.#judge(bytes, fails);
    if (this.#failing) return this.#hold(bytes);
    return this.#sink.write(fails && isFailure(bytes) ? this.#withoutKnown(bytes) : chunk);
  }

  /**
   * Writes what is held; undefined where nothing is. To be called at the end of a body that was not
   * cut.
   */
  flush(): Promise<void> | undefined {
    return this.#heldBytes > 0 ? this.#send(this.#redactor.masked(this.#take())) : undefined;
  }

  onSlow(listener: () => void): void {
    this.#sink.onSlow?.(listener);
  }

  /** An error is known by its beginning: a later piece may be any part of it. */
  #judge(bytes: Buffer, fails: boolean): void {
    const isStart = this.#first || (this.#isEvents && ENDS_EVENT.test(this.#tail));
    this.#first = false;
    if (this.#isEvents) this.#tail = (this.#tail + bytes.toString('latin1', bytes.length - 2)).slice(-2);
    if (isStart) this.#failing = (fails && isError(bytes)) || !(this.#isJson || this.#isEvents);
  }

  /** Masks keep the length: the head may have announced it. */
  async #hold(bytes: Buffer): Promise<void> {
    const piece = bytes.toString('latin1');
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    if (this.#isEvents && ENDS_EVENT.test(this.#tail)) {
      await this.flush();
      return;
    }
    if (this.#heldBytes <= MAX_HELD_BYTES) return;
    const text = this.#redactor.withoutKnown(this.#take(), (secret) => '*'.repeat(secret.length));
    const end = this.#redactor.secretStart(text);
    const rest = text.slice(end);
    this.#held = [rest];
    this.#heldBytes = rest.length;
    await this.#send(this.#redactor.masked(text.slice(0, end)));
  }

  #take(): string {
    const text = this.#held.join('');
    this.#held = [];
    this.#heldBytes = 0;
    return text;
  }

  #send(text: string): Promise<void> {
    return this.#sink.write(Buffer.from(text, 'latin1'));
  }

  #withoutKnown(bytes: Buffer): Buffer {
    const text = bytes.toString('latin1');
    const cleaned = this.#redactor.withoutKnown(text, (secret) => '*'.repeat(secret.length));
    return cleaned === text ? bytes : Buffer.from(cleaned, 'latin1');
  }
}

/** The end of `"error"` and `"isError"`: one search finds that a piece has neither. */
const FAILURE_KEYS_END = 'rror"';

const isError = (bytes: Buffer): boolean => bytes.includes('"error"') && !bytes.includes('"result"');

const isFailure = (bytes: Buffer): boolean =>
  isError(bytes) || (bytes.includes('"isError"') && /"isError"\s*:\s*true/.test(bytes.toString('latin1')));
