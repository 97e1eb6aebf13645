import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { type Message, statedVersion } from '../../core/jsonrpc/message.ts';
import type { Handler, Reply } from '../../core/pipeline/call.ts';
import { errorTypeOf, isRejectedUnread } from '../../core/pipeline/error-type.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { shareOf } from '../../core/pipeline/fair-queue.ts';
import type { BareRequest } from '../../core/pipeline/http-context.ts';
import { isIdempotentCall } from '../../core/pipeline/idempotent.ts';
import type { Peers } from '../../core/pipeline/peers.ts';
import type { Clock } from '../../core/time/clock.ts';
import { headerOf, type Incoming, mediaTypeOf } from '../http/incoming.ts';
import type { Affinity } from '../transport/affinity.ts';
import { invalidAnswer } from '../transport/answer.ts';
import { hedgeAfterMsOf } from '../transport/hedge.ts';
import type { AttemptRequest } from '../transport/http-attempt.ts';
import { isSessionLost } from '../transport/lost-session.ts';
import type { OpenedExchange, SignedTransport, TransportRequest } from '../transport/signed-transport.ts';
import { connectionLost } from '../transport/transport-errors.ts';
import type { EditResponse } from './checked-body.ts';
import { handleFailure } from './failed-answer.ts';
import { ForwardedExchange } from './forwarded-exchange.ts';
import { ListCopies } from './list-copies.ts';
import { isPlain, passAnswer, passPlain } from './pass-answer.ts';
import { readAnswer } from './read-answer.ts';
import { SessionRecords } from './session-records.ts';

export interface PassThroughDeps {
  readonly transportOf: (profile: string) => SignedTransport;
  readonly clock: Clock;
  readonly events: Events;
  /** The other workers, which serve the same sessions. */
  readonly peers?: Peers | undefined;
  /** Milliseconds of silence in the middle of an answer that end it; 0 = no limit. */
  readonly readTimeoutMs: number;
}

export interface PassThroughRequest extends BareRequest {
  /** Removes what the client may not see from the responses that a resumed stream repeats. */
  readonly edit?: EditResponse | undefined;
}

/**
 * The innermost handler for HTTP clients, which keep session, revision and streams themselves.
 * Requests are signed and sent with the client's headers, and responses are returned unchanged. No
 * recovery, no resuming.
 */
export class PassThrough {
  readonly #deps: PassThroughDeps;
  readonly #lists = new ListCopies();
  readonly #sessions = new SessionRecords();

  constructor(deps: PassThroughDeps) {
    this.#deps = deps;
  }

  readonly handle: Handler = (call) => {
    const { message, httpContext, profile, emit, signal, client } = call;
    if (!httpContext) throw new TypeError('a call without its HTTP context');
    const { headers, pass, onSend } = httpContext;
    const transport = this.#deps.transportOf(profile);
    const request = message.kind === 'request' ? message : undefined;
    const opensSession = request?.method === 'initialize';
    const isSessionEra = statedVersion(message) === undefined;
    const lane = laneFor(message);
    const facts = {
      transport,
      message,
      headers,
      affinity: this.#affinityOf(headers, transport),
      pass,
      httpContext,
      emit,
      // In the stateless era the header only routes.
      sessionId: isSessionEra ? headers['mcp-session-id'] : undefined,
      silenceMs: request && lane !== 'stream' ? this.#deps.readTimeoutMs : 0,
      edit: undefined,
      grace: request !== undefined && isSessionEra,
    };
    return this.#forward(new ForwardedExchange(facts, this.#deps), signal, {
      lane,
      method: 'POST',
      headers,
      body: message.text,
      idempotent: isIdempotentCall(call),
      hedgeAfterMs: request && hedgeAfterMsOf([call]),
      opensSession,
      share: shareOf(client),
      record: call.record,
      span: call.span,
      admits: this.#admits(lane, headers),
      // Most clients open the standalone stream next. Not before the bytes are sent: the handshakes
      // would delay them.
      onStart: opensSession ? () => setImmediate(() => transport.dialAhead()) : undefined,
      onSend,
    });
  };

  /** Forwards a request without a message and returns its response unchanged. */
  forward({ method, headers: given, profile, signal, pass, emit, edit }: PassThroughRequest): Promise<Reply> {
    const transport = this.#deps.transportOf(profile);
    const lane = method === 'GET' ? 'stream' : 'deletion';
    const headers = method === 'GET' ? { ...given, accept: 'text/event-stream' } : given;
    const facts = {
      transport,
      message: undefined,
      headers,
      affinity: this.#affinityOf(headers, transport),
      pass,
      httpContext: undefined,
      emit,
      sessionId: headers['mcp-session-id'],
      silenceMs: 0,
      edit: method === 'GET' ? edit : undefined,
      grace: false,
    };
    return this.#forward(new ForwardedExchange(facts, this.#deps), signal, {
      lane,
      method,
      headers,
      idempotent: true,
      admits: this.#admits(lane, headers),
    });
  }

  #affinityOf({ 'mcp-session-id': id }: AttemptRequest['headers'], transport: SignedTransport): Affinity {
    const known = this.#sessions.affinityOf(id);
    if (known) return known;
    const affinity = transport.newAffinity();
    const shared = id === undefined ? undefined : this.#deps.peers?.recallAffinity(id);
    if (shared) affinity.adopt(shared);
    return affinity;
  }

  /** Before the response reaches the client, whose next request may reach another worker. */
  #publish(session: string, { affinity: { shared } }: ForwardedExchange): void {
    if (shared) this.#deps.peers?.publish({ fact: 'affinity', session, affinity: shared });
  }

  /** Responses, cancellations and the end of a session are sent whichever principal signs them. */
  #admits(lane: TransportRequest['lane'], headers: AttemptRequest['headers']): AttemptRequest['admits'] {
    if (lane === 'control' || lane === 'own' || lane === 'deletion') return undefined;
    const { 'mcp-session-id': id } = headers;
    return (principal) => this.#sessions.admits(id, principal);
  }

  /** Settles with the response, or at once when the signal aborts. */
  #forward(exchange: ForwardedExchange, signal: AbortSignal, request: AttemptRequest): Promise<Reply> {
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const settlement = new Settlement(exchange, signal, resolve, reject);
      signal.addEventListener('abort', settlement, { once: true });
      const fail = (error: unknown): void => settlement.fail(error);
      // Not an async function, which costs 500 bytes for each request that waits.
      exchange.attempt.open(request, exchange.affinity).then((opened) => {
        const handled = this.#passAtOnce(exchange, request, opened);
        if (handled instanceof Promise) handled.then((reply) => settlement.succeed(reply), fail);
        else settlement.succeed(handled);
      }, fail);
    });
  }

  /** Handles a response without a promise where its answer is plain. Never throws. */
  #passAtOnce(
    exchange: ForwardedExchange,
    request: AttemptRequest,
    opened: OpenedExchange,
  ): Reply | Promise<Reply> {
    const { response, principal } = opened;
    try {
      this.#recordAffinity(exchange, request, response);
      if (isFailed(response) || !isPlain(exchange, response)) {
        return this.#handleResponse(exchange, request, opened);
      }
      if (request.admits) this.#sessions.recordOwner(sessionOf(request, response), principal);
      return passPlain(exchange, response) ?? this.#handleResponse(exchange, request, opened);
    } catch (error) {
      return Promise.reject(this.#toFailure(exchange, request, error));
    }
  }

  /** Not async: its variables would live as long as a stream. */
  #handleResponse(
    exchange: ForwardedExchange,
    request: AttemptRequest,
    opened: OpenedExchange,
  ): Promise<Reply> {
    return this.#passOrRead(exchange, request, opened).catch((error: unknown) => {
      throw this.#toFailure(exchange, request, error);
    });
  }

  /** @throws at once, or rejects. */
  #passOrRead(exchange: ForwardedExchange, request: AttemptRequest, opened: OpenedExchange): Promise<Reply> {
    const { response, principal } = opened;
    const { status, headers } = response;
    if (isFailed(response)) return handleFailure(exchange, opened, this.#sessions);
    if (request.admits) this.#sessions.recordOwner(sessionOf(request, response), principal);
    // An answer to GET that is no event stream cannot be edited, and MCP has none.
    if (exchange.edit && mediaTypeOf(headers) !== 'text/event-stream') {
      throw invalidAnswer('no event stream', status, headers, '');
    }
    return passAnswer(exchange, opened, this.#lists).then((passed) => passed ?? readAnswer(exchange, opened));
  }

  #toFailure(exchange: ForwardedExchange, { headers }: AttemptRequest, error: unknown): unknown {
    if (isSessionLost(error)) this.#sessions.dropAffinity(headers['mcp-session-id']);
    const { signal } = exchange.attempt;
    if (signal.aborted) return signal.reason;
    return error instanceof ProxyError
      ? error
      : connectionLost(exchange.transport.host, causeText(error), error);
  }

  #recordAffinity(exchange: ForwardedExchange, request: AttemptRequest, response: Incoming): void {
    const sessionId = sessionOf(request, response);
    if (request.method === 'DELETE') this.#sessions.dropAffinity(request.headers['mcp-session-id']);
    else if (this.#sessions.keepAffinity(sessionId, exchange.affinity)) this.#publish(sessionId, exchange);
  }
}

/** The end of one forwarded request. It observes the signal of its client itself. */
class Settlement {
  readonly #exchange: ForwardedExchange;
  readonly #signal: AbortSignal;
  readonly #resolve: (reply: Reply) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    exchange: ForwardedExchange,
    signal: AbortSignal,
    resolve: (reply: Reply) => void,
    reject: (error: unknown) => void,
  ) {
    this.#exchange = exchange;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  succeed(reply: Reply): void {
    this.#end();
    this.#resolve(reply);
  }

  fail(error: unknown): void {
    this.#exchange.attempt.closeConnection(error);
    this.#end();
    this.#reject(error);
  }

  /** Called when the signal aborts. */
  handleEvent(): void {
    const { attempt, grace } = this.#exchange;
    const { reason } = this.#signal;
    // A client that has gone is the cancellation.
    attempt.leave(reason, { grace: grace && reason instanceof ProxyError });
    this.#reject(attempt.abortReason(reason));
  }

  #end(): void {
    this.#signal.removeEventListener('abort', this);
    this.#exchange.attempt.end();
  }
}

/** The session of a request, or the one that its response opens; "" for none. */
const sessionOf = ({ headers }: AttemptRequest, response: Incoming): string =>
  headers['mcp-session-id'] ?? headerOf(response.headers, 'mcp-session-id');

/** AWS front ends name the error in a header, and not all of them set a status that fits. */
const isFailed = ({ status, headers }: Incoming): boolean =>
  status < 200 || status >= 300 || isRejectedUnread(errorTypeOf(headers));

/** Streams and control messages never wait behind requests. */
function laneFor(message: Message): TransportRequest['lane'] {
  // Sent on the connection of `initialize`, `initialized` costs no handshake.
  if (message.kind === 'notification' && message.method === 'notifications/initialized') return 'own';
  if (message.kind !== 'request' || message.method === 'ping') return 'control';
  return message.method === 'subscriptions/listen' ? 'stream' : 'request';
}
