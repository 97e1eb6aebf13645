import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { isTemporary } from '../../core/errors/status-class.ts';
import type { Message } from '../../core/jsonrpc/message.ts';
import { errorTypeOf, isRejectedUnread } from '../../core/pipeline/error-type.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { retryAfterOf } from '../../core/pipeline/retry-after.ts';
import { reconnectDelay } from '../../core/time/backoff.ts';
import type { Clock } from '../../core/time/clock.ts';
import { settleWithin, sleep } from '../../core/time/waits.ts';
import { ERROR_BODY, type Incoming, mediaTypeOf } from '../http/incoming.ts';
import type { Affinity } from '../transport/affinity.ts';
import { readLostSession } from '../transport/lost-session.ts';
import type { OpenedExchange, SignedTransport } from '../transport/signed-transport.ts';
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
  /** Headers of the GET that opens or resumes the stream. */
  readonly headersAfter: (lastEventId: string | undefined) => Readonly<Record<string, string>>;
  readonly affinity: Affinity | undefined;
  readonly deliver: (message: Message) => Promise<void>;
  readonly onDropped: (reason: string) => void;
  /** As of a request. */
  readonly admits: (principal: string | undefined) => boolean;
  /** Called where a working stream's session is lost, or belongs to another identity. */
  readonly onSessionGone: () => void;
  /** Called when the stream opens; returns what to call at its end. */
  readonly onOpened?: () => (() => void) | undefined;
  /** The session has ended. */
  readonly ended: AbortSignal;
}

/** The outcome of one attempt: messages, none, no stream for now, or never a stream. */
type StreamOutcome = 'read' | 'empty' | 'failed' | 'unavailable';

/** The standalone stream of a session, reopened after every end. */
export class StandaloneStream {
  readonly #deps: StandaloneStreamDeps;
  readonly #position: StreamPosition = { lastEventId: undefined, retryMs: undefined };
  /** True once open: a later 404 means that the session is lost. */
  #wasOpen = false;
  /** Retry-After of the last refusal. */
  #retryAfterMs = 0;

  constructor(deps: StandaloneStreamDeps) {
    this.#deps = deps;
  }

  /**
   * Keeps the stream open while the session lives. Never throws.
   * @param first - callbacks for the first attempt: `sent` at its first byte, `opened` at its
   * headers, whatever they are.
   */
  async keep(first: { readonly sent: () => void; readonly opened: () => void }): Promise<void> {
    const { clock, ended } = this.#deps;
    for (let empty = 0; !ended.aborted; ) {
      const outcome = await this.#attempt(first);
      first.sent();
      first.opened();
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

  async #attempt({ sent, opened }: { sent: () => void; opened: () => void }): Promise<StreamOutcome> {
    const { transport, events, headersAfter, admits, affinity, onSessionGone, ended } = this.#deps;
    const { profile } = transport;
    this.#retryAfterMs = 0;
    let stream: OpenedExchange;
    try {
      stream = await transport.open({
        method: 'GET',
        lane: 'stream',
        headers: headersAfter(this.#position.lastEventId),
        idempotent: true,
        signal: ended,
        admits,
        affinity,
        observer: { onAttempt: (lease) => lease.cancelOn(ended) },
        onStart: sent,
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
    if (status === 200 && mediaTypeOf(response.headers) === 'text/event-stream') {
      events.emit({ type: 'stream.opened', profile });
      opened();
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
    const { transport, events, deliver, onDropped, ended } = this.#deps;
    const { profile } = transport;
    let brought = false;
    this.#wasOpen = true;
    const over = this.#deps.onOpened?.();
    try {
      for await (const message of readEventMessages(
        response,
        this.#position,
        { onDropped },
        transport.readLimit,
      )) {
        brought = true;
        if (message.kind === 'unusable') onDropped(`${message.what}, on the standalone stream`);
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
}
