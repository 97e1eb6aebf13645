import type { ProxyError } from '../../core/errors/errors.ts';
import type { Message, Request } from '../../core/jsonrpc/message.ts';
import {
  type Emit,
  type HttpContext,
  type HttpFacts,
  type Origin,
  type Pass,
  PermanentOrigin,
} from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { Incoming } from '../http/incoming.ts';
import { withSilenceLimit } from '../stream/silence.ts';
import type { Affinity } from '../transport/affinity.ts';
import { invalidAnswer, toStatusError } from '../transport/answer.ts';
import { HttpAttempt } from '../transport/http-attempt.ts';
import { readLostSession } from '../transport/lost-session.ts';
import type { OpenedExchange, SignedTransport } from '../transport/signed-transport.ts';
import type { CheckDeps, EditResponse } from './checked-body.ts';

/** The forwarded message, and the parts that return its response. */
export interface ForwardedFacts {
  readonly transport: SignedTransport;
  /** The message that is answered; undefined for GET and DELETE. */
  readonly message: Message | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly affinity: Affinity;
  readonly pass: Pass | undefined;
  /** Undefined for GET and DELETE. */
  readonly httpContext: HttpContext | undefined;
  readonly emit: Emit;
  /** The id of its session, if any. */
  readonly sessionId: string | undefined;
  /** Milliseconds of silence in the middle of a response that end it; 0 = no limit. */
  readonly silenceMs: number;
  readonly edit?: EditResponse | undefined;
  /**
   * True where disconnecting is not the cancellation, so the server gets a moment to receive it.
   */
  readonly grace: boolean;
}

/** One forwarded HTTP exchange: the attempt, and what the readers of its response share. */
export class ForwardedExchange implements ForwardedFacts {
  readonly transport: SignedTransport;
  readonly message: Message | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly affinity: Affinity;
  readonly pass: ForwardedFacts['pass'];
  readonly httpContext: HttpContext | undefined;
  readonly emit: Emit;
  readonly sessionId: string | undefined;
  readonly silenceMs: number;
  readonly edit: EditResponse | undefined;
  readonly grace: boolean;
  readonly attempt: HttpAttempt;
  readonly clock: Clock;
  readonly events: Events;

  constructor(facts: ForwardedFacts, { clock, events }: { readonly clock: Clock; readonly events: Events }) {
    this.transport = facts.transport;
    this.message = facts.message;
    this.headers = facts.headers;
    this.affinity = facts.affinity;
    this.pass = facts.pass;
    this.httpContext = facts.httpContext;
    this.emit = facts.emit;
    this.sessionId = facts.sessionId;
    this.silenceMs = facts.silenceMs;
    this.edit = facts.edit;
    this.grace = facts.grace;
    this.clock = clock;
    this.events = events;
    this.attempt = new HttpAttempt(facts.transport, clock);
  }

  /** The request that is answered; undefined for every other message. */
  get request(): Request | undefined {
    return this.message?.kind === 'request' ? this.message : undefined;
  }

  /** True for a tool list, from which the tool catalog learns. */
  get isToolList(): boolean {
    return this.request?.method === 'tools/list';
  }

  /** Where the messages of the response come from. */
  get origin(): Origin {
    return new PermanentOrigin(this.transport.profile);
  }

  /**
   * Aborts where the server is silent in the middle of a response for longer than --read-timeout.
   */
  withSilenceLimit<T>(response: Incoming, read: () => Promise<T>): Promise<T> {
    const { clock, silenceMs: limitMs } = this;
    // A short response arrives together with its head.
    if (limitMs === 0 || response.ended) return read();
    const onSilence = (error: ProxyError): void => response.fail(error);
    return withSilenceLimit({ clock, limitMs, isAwaited: () => true, onSilence }, response, read);
  }

  /** The session-lost error that a response reports; undefined where it reports none. */
  findLostSession(response: Incoming, bytes: Buffer): ProxyError | undefined {
    const { sessionId } = this;
    return sessionId === undefined ? undefined : readLostSession(response, bytes, sessionId);
  }

  statusError(opened: OpenedExchange, bytes: Buffer): ProxyError {
    const { status, headers } = opened.response;
    return toStatusError(status, headers, bytes, this.transport.answerContext(opened), this.clock.now());
  }

  /** The parts that the checks of its answer need. */
  checkOf(response: Incoming): CheckDeps {
    const { transport, request, edit } = this;
    const { status, headers } = response;
    return {
      edit,
      request,
      toError: (what, text) =>
        this.findLostSession(response, Buffer.from(text)) ?? invalidAnswer(what, status, headers, text),
      onOtherId: (id) => transport.reportOtherId(request?.method ?? '', id),
      onDropped: (reason) => this.reportDropped(reason),
    };
  }

  reportDropped(reason: string): void {
    this.events.emit({ type: 'upstream.message-dropped', profile: this.transport.profile, reason });
  }
}

/** Status and headers only; the connection stays here. */
export const toHttpFacts = ({ status, headers }: HttpFacts): HttpFacts => ({ status, headers });

/** For a body that was read, decompressed and perhaps edited. */
export function unencoded({ status, headers }: HttpFacts): HttpFacts {
  const { 'content-encoding': _encoding, 'content-length': _length, ...rest } = headers;
  return { status, headers: rest };
}
