import type { IncomingHttpHeaders } from 'node:http';
import type { Sent } from '../../core/errors/errors.ts';
import { currentTurn, hasPolledSince, isCurrentTurn, type Turn } from '../../core/time/poll-phase.ts';
import { EarlyDial } from './early-dial.ts';
import { type HttpHeaders, Incoming, type ResponseObserver } from './incoming.ts';
import {
  type Connector,
  type DispatchController,
  type DispatchHandler,
  freeWritten,
  HttpClient,
  type HttpMethod,
  releasable,
  skipIdleCheck,
} from './undici.ts';

export interface OutgoingRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: Buffer | undefined;
  /** Called when the connection is open and the first byte is about to be sent. */
  readonly onStart?: (() => void) | undefined;
  readonly observer?: ExchangeObserver | undefined;
}

/** Observes one request: `failed`, or `responded` and then `ended`. Must not throw. */
export interface ExchangeObserver extends ResponseObserver {
  /** The head of the response has arrived. */
  responded(incoming: Incoming): void;
  /** There was no response. */
  failed(error: Error): void;
}

/** Enough for AWS, its load balancers and identity-aware proxies; undici's default is 16 KiB. */
export const MAX_RESPONSE_HEADER_BYTES = 64 * 1024;

/**
 * A failure before the response headers: how far the request got, and whether the socket was
 * reused.
 */
export class TransportFailure extends Error {
  override readonly name = 'TransportFailure';
  readonly sent: Sent;
  readonly reused: boolean;

  constructor(cause: Error, sent: Sent, reused: boolean) {
    super(cause.message, { cause });
    this.sent = sent;
    this.reused = reused;
  }

  /** The server has answered, so another attempt would fail the same way. */
  get headersTooLong(): boolean {
    return (this.cause as { code?: unknown }).code === 'UND_ERR_HEADERS_OVERFLOW';
  }
}

export interface ConnectionOptions {
  readonly origin: string;
  readonly connect: Connector;
  readonly keepAliveTimeoutMs: number;
  readonly onOpen: (connection: Connection) => void;
  readonly onClose: (connection: Connection) => void;
}

/** Receives one response from undici. A class, because closures would be created per request. */
class ResponseHandler implements DispatchHandler {
  readonly #connection: Connection;
  readonly #reused: boolean;
  readonly #resolve: (incoming: Incoming) => void;
  readonly #reject: (failure: TransportFailure) => void;
  readonly #over: (reusable: boolean) => void;
  readonly #onStart: (() => void) | undefined;
  readonly #observer: ExchangeObserver | undefined;
  #incoming: Incoming | undefined;
  #started = false;

  constructor(
    connection: Connection,
    reused: boolean,
    resolve: (incoming: Incoming) => void,
    reject: (failure: TransportFailure) => void,
    over: (reusable: boolean) => void,
    { onStart, observer }: OutgoingRequest,
  ) {
    this.#connection = connection;
    this.#onStart = onStart;
    this.#observer = observer;
    this.#reused = reused;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#over = over;
  }

  onRequestStart(): void {
    this.#started = true;
    this.#onStart?.();
    // undici writes the request as soon as this returns.
    queueMicrotask(() => this.#connection.freeWritten());
  }

  onResponseStart(controller: DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // 1xx responses are informational.
    if (status < 200) return;
    // undici would hold the head as it came, and the bytes around it, until the response has ended.
    controller.rawHeaders = null;
    const incoming = new Incoming(status, headers as HttpHeaders, controller, this.#observer);
    this.#incoming = incoming;
    this.#observer?.responded(incoming);
    this.#resolve(incoming);
  }

  onResponseData(_controller: DispatchController, chunk: Buffer): void {
    this.#incoming?.push(chunk);
  }

  onResponseEnd(): void {
    this.#incoming?.end();
    this.#connection.requestEnded(true, this.#over);
  }

  onResponseError(_controller: DispatchController, error: Error): void {
    if (this.#incoming) this.#incoming.fail(error);
    else {
      const failure = new TransportFailure(error, this.#started ? 'maybe' : 'no', this.#reused);
      this.#observer?.failed(failure);
      this.#reject(failure);
    }
    this.#connection.requestEnded(false, this.#over);
  }
}

/** One socket and one request at a time. Opens with its first request, and again after a close. */
export class Connection {
  readonly #client: HttpClient;
  readonly #origin: string;
  readonly #early: EarlyDial;
  /** Monotonic; set by the pool. */
  openedAt = 0;
  #open = false;
  #served = 0;
  #answeredIn: Turn | undefined;
  #dead = false;

  constructor(options: ConnectionOptions) {
    this.#origin = options.origin;
    this.#early = new EarlyDial(options.connect);
    this.#client = new HttpClient(options.origin, {
      connect: this.#early.connect,
      pipelining: 1,
      // undici refuses at the limit itself.
      maxHeaderSize: MAX_RESPONSE_HEADER_BYTES + 1,
      // The proxy has its own deadlines; undici would cut quiet calls and streams after 300 s.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: options.keepAliveTimeoutMs,
      // Otherwise a server's longer hint would override --keepalive-timeout.
      keepAliveMaxTimeout: options.keepAliveTimeoutMs,
    });
    this.#client.on('connect', () => {
      this.#open = true;
      this.#served = 0;
      options.onOpen(this);
    });
    this.#client.on('disconnect', () => {
      if (!this.#open) return;
      this.#open = false;
      options.onClose(this);
    });
  }

  /** True where the socket is open and was used before: the server may be closing it now. */
  get warm(): boolean {
    return this.#open && this.#served > 0;
  }

  /**
   * True in the turn of the event loop in which a response ended here: a close right behind it is
   * not visible yet.
   */
  get justAnswered(): boolean {
    return isCurrentTurn(this.#answeredIn);
  }

  get open(): boolean {
    return this.#open;
  }

  /**
   * Opens the socket ahead of the first request. Calls `onGone` if it closes before a request uses
   * it.
   */
  dial(onGone?: () => void): void {
    if (!this.#open && !this.#dead) this.#early.start(this.#origin, onGone);
  }

  /**
   * Sends one request. Resolves with the headers' arrival; `over` runs once, when the last byte has
   * come or the exchange broke.
   * @throws TransportFailure
   */
  send(request: OutgoingRequest, over: (reusable: boolean) => void): Promise<Incoming> {
    return new Promise((resolve, reject) => {
      const { method, path, headers, body } = request;
      // The server may have closed a socket that was dialled early, like a reused one.
      const answer = new ResponseHandler(
        this,
        this.warm || this.#early.ready,
        resolve,
        reject,
        over,
        request,
      );
      if (this.#isRead) skipIdleCheck(this.#client);
      this.#client.dispatch(
        { method: method as HttpMethod, path, headers, body: body ? releasable(body) : null },
        answer,
      );
    });
  }

  /** Called by the handler of the request, whose closures would keep its body. */
  requestEnded(reusable: boolean, over: (reusable: boolean) => void): void {
    if (reusable) {
      this.#served++;
      this.#answeredIn = currentTurn();
    }
    // undici is still inside its parser here: closing or reusing its client would corrupt it.
    queueMicrotask(() => over(reusable && !this.#dead));
  }

  /** Nothing that arrived on the socket since its last response is unread. */
  get #isRead(): boolean {
    return this.#answeredIn !== undefined && hasPolledSince(this.#answeredIn);
  }

  freeWritten(): void {
    freeWritten(this.#client);
  }

  /** Aborts the request and closes the socket now. */
  destroy(reason?: Error): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#early.drop();
    this.#client.destroy(reason ?? null).catch(() => undefined);
  }
}
