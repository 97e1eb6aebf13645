import type { ProxyError } from '../../core/errors/errors.ts';
import { retryHeaders, statusOf } from '../../core/errors/http-status.ts';
import { type AcceptedForms, ANY_FORM } from '../../core/http/accept.ts';
import { errorResponse, oneLine } from '../../core/jsonrpc/message.ts';
import type { BodySink, HttpFacts } from '../../core/pipeline/call.ts';
import type { HttpExchange } from '../../core/pipeline/http-context.ts';
import type { Clock } from '../../core/time/clock.ts';
import { EventStream } from './event-stream.ts';

const JSON_TYPE = 'application/json';
const EVENT_TYPE = 'text/event-stream';

const hasType = ({ headers: { 'content-type': type } }: HttpFacts, wanted: string): boolean =>
  typeof type === 'string' && type.toLowerCase().startsWith(wanted);

const isEvents = (head: HttpFacts): boolean => hasType(head, EVENT_TYPE);

/** Bytes can be added to an event stream, unless it is compressed or says how long it is. */
const isOpenEnded = ({ headers }: HttpFacts): boolean =>
  headers['content-length'] === undefined &&
  (headers['content-encoding'] === undefined || headers['content-encoding'] === 'identity');

/** Raw line ends can stand between the tokens of JSON only, and would end the field. */
const toEvent = (text: string): string => `event: message\ndata: ${oneLine(text)}\n\n`;

/**
 * Reverse proxies such as nginx hold an answer back until a buffer is full, unless the answer
 * forbids it.
 */
const UNBUFFERED = { 'x-accel-buffering': 'no' };

export interface ResponseOptions {
  readonly clock: Clock;
  /** Milliseconds of silence on an event stream after which a comment is sent; 0 = never. */
  readonly keepaliveMs: number;
  /** What the client accepts. */
  readonly forms?: AcceptedForms;
}

/**
 * The one answer to one HTTP request. It comes whole; or as it is, from the server's hands; or,
 * where a message had to go down before it, as an event stream. Of the two forms that MCP has, the
 * client gets one that it accepts.
 */
export class HttpResponse {
  readonly #exchange: HttpExchange;
  readonly #options: ResponseOptions;
  readonly #forms: AcceptedForms;
  #state: 'unbegun' | 'passing' | 'events' | 'over' = 'unbegun';
  /** Undefined where the answer is no event stream, or one that nothing can be added to. */
  #stream: EventStream | undefined;
  #passesEvents = false;
  #answered = false;
  /** The server's answer comes as messages: what else it sends is not in any bytes that pass. */
  #receivesMessages = false;

  constructor(exchange: HttpExchange, options: ResponseOptions) {
    this.#exchange = exchange;
    this.#options = options;
    this.#forms = options.forms ?? ANY_FORM;
  }

  get begun(): boolean {
    return this.#state !== 'unbegun';
  }

  /** Whether a message can go down before the answer. */
  get acceptsEvents(): boolean {
    return this.#forms.events;
  }

  /** The server's answer will not be offered to `pass`. */
  expectMessages(): void {
    this.#receivesMessages = true;
  }

  /**
   * Takes the server's own answer, which `end` completes; undefined where it must come as a
   * message, because its form does not fit.
   */
  pass(head: HttpFacts): BodySink | undefined {
    if (this.#state === 'events') return this.#continueStream(head);
    if (this.#state !== 'unbegun') throw new TypeError('an answer that begins twice');
    if (!this.#fits(head)) {
      this.#receivesMessages = true;
      return undefined;
    }
    this.#state = 'passing';
    this.#passesEvents = isEvents(head);
    if (!this.#passesEvents || head.status !== 200 || !isOpenEnded(head)) return this.#exchange.begin(head);
    return this.#openStream(head);
  }

  /** Errors fit whatever is accepted: they have one form. */
  #fits(head: HttpFacts): boolean {
    const { json, events } = this.#forms;
    if ((json && events) || head.status < 200 || head.status >= 300) return true;
    return isEvents(head) ? events : json || !hasType(head, JSON_TYPE);
  }

  /** The server's stream goes on where the proxy's own has begun. */
  #continueStream(head: HttpFacts): BodySink | undefined {
    if (head.status !== 200 || !isEvents(head) || !isOpenEnded(head)) {
      this.#receivesMessages = true;
      return undefined;
    }
    this.#state = 'passing';
    this.#passesEvents = true;
    return this.#stream;
  }

  #openStream(head: HttpFacts): EventStream {
    const { clock, keepaliveMs } = this.#options;
    const sink = this.#exchange.begin({ status: 200, headers: { ...UNBUFFERED, ...head.headers } });
    this.#stream = new EventStream({ sink, clock, keepaliveMs });
    return this.#stream;
  }

  /**
   * One message before the answer; it is left out where the client accepts no events. Resolves when
   * the client has room for more.
   */
  sendEvent(text: string): Promise<void> {
    // What passes by has its messages in it.
    if (!this.#receivesMessages) return DONE;
    if (this.#state === 'unbegun' && this.#forms.events) this.#beginStream();
    return this.#writeEvent(text);
  }

  #writeEvent(text: string): Promise<void> {
    if (this.#state !== 'events' || !this.#stream) return DONE;
    return this.#stream.write(Buffer.from(toEvent(text)));
  }

  #beginStream(): void {
    this.#state = 'events';
    this.#openStream({ status: 200, headers: { 'content-type': EVENT_TYPE, 'cache-control': 'no-cache' } });
  }

  /**
   * Sends a message of the proxy's own, where the client accepts events and no other is half sent.
   */
  insertEvent(text: string): void {
    if (this.#state === 'unbegun' && this.#forms.events) this.#beginStream();
    this.#stream?.insert(toEvent(text));
  }

  /** The answer, or several: after events, as events. */
  send(texts: readonly string[], head: HttpFacts, joined = texts[0]): void {
    if (this.#state === 'events') for (const text of texts) void this.#writeEvent(text);
    else if (this.#state === 'unbegun') this.#write(texts, joined ?? '', head);
    this.end();
  }

  #write(texts: readonly string[], text: string, head: HttpFacts): void {
    const { 'content-type': type, ...rest } = head.headers;
    const asEvent = text !== '' && this.#isEvent(head);
    const asJson = hasType(head, JSON_TYPE);
    const body = Buffer.from(asEvent ? texts.map(toEvent).join('') : text);
    const typed = asEvent ? (isEvents(head) ? type : EVENT_TYPE) : asJson ? type : JSON_TYPE;
    const length = asEvent ? {} : { 'content-length': String(body.length) };
    const sink = this.#exchange.begin({
      status: head.status,
      headers: { ...rest, ...(body.length === 0 ? {} : { 'content-type': typed }), ...length },
    });
    if (body.length > 0) void sink.write(body);
  }

  /**
   * As its server answered, so is it answered: some clients, and the suite that tests them, count
   * on it.
   */
  #isEvent(head: HttpFacts): boolean {
    const { json, events } = this.#forms;
    return events && (isEvents(head) || (!json && head.status === 200));
  }

  /**
   * An error of the proxy's own. Where the server's answer has begun, all that can be said is that
   * it will not be completed.
   */
  fail(error: ProxyError, id: string | undefined, status = statusOf(error)): void {
    if (this.#state === 'passing') {
      this.breakOff();
      return;
    }
    const { text } = errorResponse(error.toJsonRpc(), id);
    this.send([text], { status, headers: retryHeaders(status, error) });
  }

  /** What may be the answer has passed: no other may follow. */
  answered(): void {
    this.#answered = true;
  }

  /**
   * The answer in place of the one that the server's stream did not bring; false where no event can
   * be added any more, or the answer may have passed.
   */
  closeWith(error: ProxyError, id: string): boolean {
    if (this.#state !== 'passing' || this.#answered || !this.#stream?.betweenEvents) return false;
    void this.#stream.write(Buffer.from(toEvent(errorResponse(error.toJsonRpc(), id).text)));
    this.end();
    return true;
  }

  /**
   * For a request that its client has taken back: as servers do, a stream that ends without an
   * answer.
   */
  endWithoutAnswer(): void {
    if (this.#state === 'unbegun') {
      const { events } = this.#forms;
      this.#exchange.begin(events ? { status: 200, headers: { 'content-type': EVENT_TYPE } } : EMPTY_ANSWER);
      this.end();
    } else if (this.#passesEvents || this.#state !== 'passing') this.end();
    else this.breakOff();
  }

  end(): void {
    if (!this.#close()) return;
    this.#exchange.end();
  }

  breakOff(): void {
    if (!this.#close()) return;
    this.#exchange.breakOff();
  }

  #close(): boolean {
    if (this.#state === 'over') return false;
    this.#state = 'over';
    this.#stream?.stop();
    return true;
  }
}

const DONE = Promise.resolve();

const EMPTY_ANSWER: HttpFacts = { status: 202, headers: { 'content-length': '0' } };
