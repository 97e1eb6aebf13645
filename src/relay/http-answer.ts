import type { BodySink, HttpFacts } from '../core/call.ts';
import type { ProxyError } from '../core/errors.ts';
import { retryHeaders, statusOf } from '../core/http-status.ts';
import { errorAnswer, oneLine } from '../core/message.ts';
import type { HttpExchange } from '../core/passage.ts';

const JSON_TYPE = 'application/json';
const EVENT_TYPE = 'text/event-stream';

const isEvents = ({ headers: { 'content-type': type } }: HttpFacts): boolean =>
  typeof type === 'string' && type.toLowerCase().startsWith(EVENT_TYPE);

/** Raw line ends can stand between the tokens of JSON only, and would end the field. */
const eventOf = (text: string): string => `event: message\ndata: ${oneLine(text)}\n\n`;

/**
 * The one answer to one HTTP request. It comes whole; or as it is, from the server's hands; or, where a message had to go down before
 * it, as an event stream.
 */
export class HttpAnswer {
  readonly #exchange: HttpExchange;
  #state: 'unbegun' | 'passing' | 'over' | { readonly events: BodySink } = 'unbegun';

  #passesEvents = false;

  constructor(exchange: HttpExchange) {
    this.#exchange = exchange;
  }

  get begun(): boolean {
    return this.#state !== 'unbegun';
  }

  /** Takes the server's own answer; `end` completes it. */
  pass(head: HttpFacts): BodySink {
    if (this.#state !== 'unbegun') throw new TypeError('an answer that begins twice');
    this.#state = 'passing';
    this.#passesEvents = isEvents(head);
    return this.#exchange.begin(head);
  }

  /** One message before the answer. Resolves when the client has room for more. */
  event(text: string): Promise<void> {
    if (this.#state === 'unbegun') {
      const headers = { 'content-type': EVENT_TYPE, 'cache-control': 'no-cache' };
      this.#state = { events: this.#exchange.begin({ status: 200, headers }) };
    }
    if (typeof this.#state === 'string') return Promise.resolve();
    return this.#state.events.write(Buffer.from(eventOf(text)));
  }

  /** The answer, or several: after events, as events. */
  whole(texts: readonly string[], { status, headers }: HttpFacts, joined = texts[0]): void {
    if (typeof this.#state === 'object') for (const text of texts) void this.event(text);
    else if (this.#state === 'unbegun') this.#write(joined ?? '', { status, headers });
    this.end();
  }

  #write(text: string, { status, headers }: HttpFacts): void {
    const { 'content-type': type, ...rest } = headers;
    // As its server answered, so is it answered: some clients, and the suite that tests them, count on it.
    const asEvent = isEvents({ status, headers }) && text !== '';
    const asJson = typeof type === 'string' && type.toLowerCase().startsWith(JSON_TYPE);
    const body = Buffer.from(asEvent ? eventOf(text) : text);
    const typed = body.length === 0 ? {} : { 'content-type': asEvent || asJson ? type : JSON_TYPE };
    const length = asEvent ? {} : { 'content-length': String(body.length) };
    const sink = this.#exchange.begin({ status, headers: { ...rest, ...typed, ...length } });
    if (body.length > 0) void sink.write(body);
  }

  /** An error of the proxy's own. Where the server's answer has begun, all that can be said is that it will not be completed. */
  fail(error: ProxyError, id: string | undefined): void {
    if (this.#state === 'passing') {
      this.breakOff();
      return;
    }
    const status = statusOf(error);
    const { text } = errorAnswer(error.toJsonRpc(), id);
    this.whole([text], { status, headers: retryHeaders(status, error) });
  }

  /** For a request that its client has taken back: as servers do, a stream that ends without an answer. */
  silence(): void {
    if (this.#state === 'unbegun') {
      this.pass({ status: 200, headers: { 'content-type': EVENT_TYPE } });
    }
    if (this.#passesEvents || this.#state !== 'passing') this.end();
    else this.breakOff();
  }

  end(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#exchange.end();
  }

  breakOff(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#exchange.breakOff();
  }
}
