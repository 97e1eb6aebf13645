import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { isTemporary } from '../../core/errors/status-class.ts';
import type { Message } from '../../core/jsonrpc/message.ts';
import type { RequestHeaders } from '../../core/pipeline/call.ts';
import { errorTypeOf, isRejectedUnread } from '../../core/pipeline/error-type.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { retryAfterOf } from '../../core/pipeline/retry-after.ts';
import { reconnectDelay } from '../../core/time/backoff.ts';
import type { Clock } from '../../core/time/clock.ts';
import { settleWithin, sleep } from '../../core/time/waits.ts';
import { ERROR_BODY, type Incoming, mediaTypeOf } from '../http/incoming.ts';
import type { Affinity } from '../transport/affinity.ts';
import { readLostSession } from '../transport/lost-session.ts';
import type { SessionOwner } from '../transport/session-owner.ts';
import type { OpenedExchange, SignedTransport } from '../transport/signed-transport.ts';
import { EVENT_STREAM, resumeHeaders } from './resumption.ts';
import { readEventMessages, type StreamPosition } from './stream.ts';

/** Waits before reopening, where the server names none. */
const REOPEN_BASE_MS = 1_000;
const REOPEN_MAX_MS = 30_000;
/** Longest wait for the body of a refusal. */
const REFUSAL_BODY_MS = 5_000;
/** Only the body of these can name an error that passes: the others say all by their status. */
const SPEAKING: ReadonlySet<number> = new Set([200, 400, 409]);

export interface StandaloneStreamDeps {
  readonly transport: SignedTransport;
  readonly clock: Clock;
  readonly events: Events;
  /** The headers of the session's requests at this moment. */
  readonly headers: () => RequestHeaders;
  readonly affinity: Affinity | undefined;
  readonly deliver: (message: Message) => Promise<void>;
  readonly owner: SessionOwner;
  /** Called where a working stream's session is lost, or belongs to another identity. */
  readonly onSessionGone: () => void;
  /** Called when the stream opens; returns what to call at its end. */
  readonly onOpened: (() => (() => void) | undefined) | undefined;
  /** The session has ended. */
  readonly ended: AbortSignal;
}

/** The outcome of one attempt: messages, none, no stream for now, or never a stream. */
type StreamOutcome = 'read' | 'empty' | 'failed' | 'unavailable';

/** The standalone stream of a session, reopened after every end. */
export class StandaloneStream {
  /** Resolves when the first byte of the first attempt is sent, or it has failed. */
  readonly sent: Promise<void>;
  /** Resolves when the headers of the first attempt have come, or it has failed. */
  readonly opened: Promise<void>;
  #resolveSent: () => void = () => undefined;
  #resolveOpened: () => void = () => undefined;
  readonly #deps: StandaloneStreamDeps;
  readonly #position: StreamPosition = { lastEventId: undefined, retryMs: undefined };
  /** True once open: a later 404 means that the session is lost. */
  #wasOpen = false;
  /** Retry-After of the last refusal. */
  #retryAfterMs = 0;

  constructor(deps: StandaloneStreamDeps) {
    this.#deps = deps;
    this.sent = new Promise((resolve) => {
      this.#resolveSent = resolve;
    });
    this.opened = new Promise((resolve) => {
      this.#resolveOpened = resolve;
    });
  }

  /** Keeps the stream open while the session lives. Never throws. */
  async keep(): Promise<void> {
    const { clock, ended } = this.#deps;
    for (let empty = 0; !ended.aborted; ) {
      const outcome = await this.#attempt();
      this.#resolveSent();
      this.#resolveOpened();
      if (outcome === 'unavailable') return;
      empty = outcome === 'read' ? 0 : empty + 1;
      const failed = outcome === 'failed';
      const { retryMs } = this.#position;
      const wait = reconnectDelay(clock, {
        wishMs: failed ? Math.max(this.#retryAfterMs, retryMs ?? 0) : retryMs,
        empty,
        failed,
        baseMs: REOPEN_BASE_MS,
        maxMs: REOPEN_MAX_MS,
      });
      await sleep(clock, wait, ended).catch(() => undefined);
    }
  }

  async #attempt(): Promise<StreamOutcome> {
    const { transport, events, owner, affinity, onSessionGone, ended } = this.#deps;
    const { profile } = transport;
    this.#retryAfterMs = 0;
    let stream: OpenedExchange;
    try {
      stream = await transport.open({
        method: 'GET',
        lane: 'stream',
        headers: this.#headers(),
        idempotent: true,
        signal: ended,
        admits: owner.admits,
        affinity,
        observer: { onAttempt: (lease) => lease.cancelOn(ended) },
        onStart: this.#resolveSent,
      });
    } catch (error) {
      if (!ended.aborted) {
        events.emit({ type: 'stream.unavailable', profile, status: 0, message: causeText(error) });
        if (error instanceof ProxyError && error.reason === 'session-lost') onSessionGone();
      }
      return 'failed';
    }
    const { response, lease } = stream;
    const { status } = response;
    if (status === 200 && mediaTypeOf(response.headers) === EVENT_STREAM) {
      events.emit({ type: 'stream.opened', profile });
      this.#resolveOpened();
      return (await this.#read(stream)) ? 'read' : 'empty';
    }
    this.#retryAfterMs = retryAfterOf(response.headers, this.#deps.clock.now()) ?? 0;
    const body = await this.#refusal(response);
    const gone = this.#wasOpen && readLostSession(response, body, undefined) !== undefined;
    // AWS front ends name throttling with any status.
    const turnedAway = isRejectedUnread(errorTypeOf(response.headers, body.toString('latin1')));
    lease.cancel(new Error('not a stream'));
    const message = status === 405 ? 'not offered by this server' : 'not a stream';
    events.emit({ type: 'stream.unavailable', profile, status, message });
    if (gone) {
      onSessionGone();
      return 'unavailable';
    }
    // A server without such a stream may answer 501; 401 and 403 may be resolved by the next login.
    const passing = (isTemporary(status) && status !== 501) || status === 401 || status === 403;
    return passing || turnedAway ? 'failed' : 'unavailable';
  }

  #headers(): RequestHeaders {
    const { lastEventId } = this.#position;
    const headers = this.#deps.headers();
    return lastEventId === undefined
      ? { ...headers, accept: EVENT_STREAM }
      : resumeHeaders(lastEventId, headers);
  }

  /**
   * The body of a refusal that may say more than its status; empty where it is not worth a wait.
   */
  async #refusal(response: Incoming): Promise<Buffer> {
    const unread = Buffer.alloc(0);
    if (!this.#wasOpen && !SPEAKING.has(response.status)) return unread;
    const reading = response.readAll(ERROR_BODY).catch(() => unread);
    return (await settleWithin(this.#deps.clock, REFUSAL_BODY_MS, reading)) ?? unread;
  }

  /** @returns true where a message arrived, so that the next wait starts from the shortest. */
  async #read({ response, lease }: OpenedExchange): Promise<boolean> {
    const { transport, events, deliver, ended } = this.#deps;
    const { profile, readLimit } = transport;
    let brought = false;
    this.#wasOpen = true;
    const over = this.#deps.onOpened?.();
    try {
      for await (const message of readEventMessages(response, this.#position, this, readLimit)) {
        brought = true;
        if (message.kind === 'unusable') this.onDropped(`${message.what}, on the standalone stream`);
        else await deliver(message);
      }
      events.emit({ type: 'stream.ended', profile, how: 'the server closed it' });
    } catch (error) {
      if (!ended.aborted) events.emit({ type: 'stream.ended', profile, how: causeText(error) });
    } finally {
      over?.();
      lease.cancel(new Error('stream over'));
    }
    return brought;
  }

  /** Reports what no one receives. */
  onDropped(reason: string): void {
    const { events, transport } = this.#deps;
    events.emit({ type: 'upstream.message-dropped', profile: transport.profile, reason });
  }
}
