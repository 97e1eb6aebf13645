import type { ProxyError } from '../../core/errors/errors.ts';
import { retryHeaders, statusOf } from '../../core/errors/http-status.ts';
import { type AcceptedForms, ANY_FORM } from '../../core/http/accept.ts';
import { errorResponse, toOneLine } from '../../core/jsonrpc/message.ts';
import type { BodySink, HttpFacts } from '../../core/pipeline/call.ts';
import type { HttpExchange } from '../../core/pipeline/http-context.ts';
import type { Clock } from '../../core/time/clock.ts';
import { EventStream } from './event-stream.ts';

const JSON_TYPE = 'application/json';
const EVENT_TYPE = 'text/event-stream';

const hasType = ({ headers: { 'content-type': type } }: HttpFacts, wanted: string): boolean =>
  typeof type === 'string' && type.toLowerCase().startsWith(wanted);

const isEvents = (head: HttpFacts): boolean => hasType(head, EVENT_TYPE);

/** True for a stream that bytes can be added to: uncompressed and without a length. */
const isOpenEnded = (head: HttpFacts): boolean =>
  head.headers['content-length'] === undefined && !isEncoded(head);

const isEncoded = ({ headers: { 'content-encoding': encoding } }: HttpFacts): boolean =>
  encoding !== undefined && encoding !== 'identity';

/** Line ends occur only between JSON tokens, and would end the `data` field. */
const toEvent = (text: string): string => `event: message\ndata: ${toOneLine(text)}\n\n`;

/** Stops reverse proxies such as nginx from buffering the response. */
const UNBUFFERED = { 'x-accel-buffering': 'no' };

export interface ResponseOptions {
  readonly clock: Clock;
  /** Milliseconds of silence on an event stream after which a comment is sent; 0 = never. */
  readonly keepaliveMs: number;
  /** The media types that the client accepts. */
  readonly forms?: AcceptedForms;
  /**
   * True for the answer to a message, which is decompressed: compressed bytes cannot be checked or
   * searched for progress.
   */
  readonly reads?: boolean;
}

/**
 * The response to one HTTP request: complete, passed through from the server, or an event stream
 * where messages precede the answer. It uses a media type that the client accepts.
 */
export class HttpResponse {
  readonly #exchange: HttpExchange;
  readonly #options: ResponseOptions;
  readonly #forms: AcceptedForms;
  #state: 'unbegun' | 'passing' | 'events' | 'over' = 'unbegun';
  /** Undefined where the response is not an event stream that events can be added to. */
  #stream: EventStream | undefined;
  #passesEvents = false;
  #answered = false;
  #resumable = false;
  /**
   * True where the server's response is read as messages, so that its other messages are sent here.
   */
  #receivesMessages = false;

  constructor(exchange: HttpExchange, options: ResponseOptions) {
    this.#exchange = exchange;
    this.#options = options;
    this.#forms = options.forms ?? ANY_FORM;
  }

  get begun(): boolean {
    return this.#state !== 'unbegun';
  }

  /** Whether messages can be sent before the answer. */
  get acceptsEvents(): boolean {
    return this.#forms.events;
  }

  /** Announces that the server's response will be read as messages. */
  expectMessages(): void {
    this.#receivesMessages = true;
  }

  /**
   * Passes the server's response through; `end` completes it.
   * @returns undefined where the client does not accept its media type, so that it must be read as
   * a message.
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

  /** Error responses have one media type, whatever the client accepts. */
  #fits(head: HttpFacts): boolean {
    const { json, events } = this.#forms;
    if (this.#options.reads && isEncoded(head) && head.status >= 200 && head.status < 300) return false;
    if ((json && events) || head.status < 200 || head.status >= 300) return true;
    return isEvents(head) ? events : json || !hasType(head, JSON_TYPE);
  }

  /** Continues the stream that the proxy has started with the server's bytes. */
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
   * Sends a message before the answer. It is dropped where the client accepts no events. Resolves
   * when the client has room for more.
   */
  sendEvent(text: string): Promise<void> {
    // A passed-through stream contains the message already.
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

  /** Inserts a message of the proxy, where the client accepts events and no event is incomplete. */
  insertEvent(text: string): void {
    if (this.#state === 'unbegun' && this.#forms.events) this.#beginStream();
    this.#stream?.insert(toEvent(text));
  }

  /** Sends one or more answers and ends the response. */
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

  /** Uses the server's media type: some clients and the conformance suite rely on it. */
  #isEvent(head: HttpFacts): boolean {
    const { json, events } = this.#forms;
    return events && (isEvents(head) || (!json && head.status === 200));
  }

  /** Sends an error of the proxy. A response that has begun is cut off instead. */
  fail(error: ProxyError, id: string | undefined, status = statusOf(error)): void {
    if (this.#state === 'passing') {
      this.breakOff();
      return;
    }
    const { text } = errorResponse(error.toJsonRpc(), id);
    this.send([text], { status, headers: retryHeaders(status, error) });
  }

  /** True once a possible answer has passed, so that no other may follow. */
  markAnswered(): void {
    this.#answered = true;
  }

  /** An event with an id has passed: its client can ask for the rest. */
  markResumable(): void {
    this.#resumable = true;
  }

  /**
   * The answer in place of the one that the server's stream did not bring; false where no event can
   * be added any more, or the answer may have passed.
   */
  closeWith(error: ProxyError, id: string): boolean {
    if (this.#resumable && error.reason === 'connection-lost') return false;
    if (this.#state !== 'passing' || this.#answered || !this.#stream?.betweenEvents) return false;
    void this.#stream.write(Buffer.from(toEvent(errorResponse(error.toJsonRpc(), id).text)));
    this.end();
    return true;
  }

  /** Ends the response to a cancelled request: a stream without an answer, as servers do. */
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
