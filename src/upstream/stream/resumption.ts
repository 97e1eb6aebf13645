import { ProxyError } from '../../core/errors/errors.ts';
import { isTemporary } from '../../core/errors/status-class.ts';
import type { RequestHeaders } from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { retryAfterOf } from '../../core/pipeline/retry-after.ts';
import { reconnectDelay } from '../../core/time/backoff.ts';
import type { Clock } from '../../core/time/clock.ts';
import { sleep } from '../../core/time/waits.ts';
import { mediaTypeOf } from '../http/incoming.ts';
import type { Lease } from '../http/lease.ts';
import type { Affinity } from '../transport/affinity.ts';
import type { OpenedExchange, SignedTransport } from '../transport/signed-transport.ts';
import { connectionLost } from '../transport/transport-errors.ts';
import type { StreamPosition } from './stream.ts';

/** The media type of event streams. */
export const EVENT_STREAM = 'text/event-stream';

/** Waits between attempts to resume, where the server names none. */
const RESUME_BASE_MS = 500;
const RESUME_MAX_MS = 15_000;
/** Failed attempts in a row before the waiting call fails; its deadline may come sooner. */
const MAX_RESUME_ATTEMPTS = 8;

/** Upper bound for Retry-After: the call may be answered by then, and its own limit ends it. */
const MAX_RETRY_AFTER_MS = 20_000;

export interface ResumptionDeps {
  readonly transport: SignedTransport;
  readonly clock: Clock;
  readonly events: Events;
  /** The headers of the request: its stream is resumed in the same session. */
  readonly headers: RequestHeaders;
  /** Called with the id of each event that has one, once it is handled. */
  readonly onEventId?: ((id: string) => void) | undefined;
  readonly affinity: Affinity | undefined;
  readonly signal: AbortSignal;
  readonly onAttempt: (lease: Lease) => void;
}

/** Header values are bytes: a non-ASCII id is returned as the UTF-8 that it arrived in. */
export const resumeHeaders = (lastEventId: string, sent: RequestHeaders): RequestHeaders => ({
  ...sent,
  accept: EVENT_STREAM,
  'last-event-id': Buffer.from(lastEventId).toString('latin1'),
});

/**
 * The part of a stream that one connection carried: what cut it (undefined for a clean end), and
 * its number of messages.
 */
export interface StreamSegment {
  readonly cause: unknown;
  readonly messages: number;
}

/**
 * The position in a call's stream, and its resumption where it ends before the answer. The server
 * must number its events.
 */
export class Resumption {
  /** Updated by the reader. */
  readonly position: StreamPosition;
  readonly #deps: ResumptionDeps;
  /** The event id before the last segment. */
  #previousEventId: string | undefined;
  /** Segments in a row without a message. */
  #empty = 0;
  /** Segments in a row without progress. */
  #stuck = 0;

  constructor(deps: ResumptionDeps) {
    this.#deps = deps;
    const { onEventId } = deps;
    this.position = onEventId ? reportedPosition(onEventId) : { lastEventId: undefined, retryMs: undefined };
  }

  /**
   * Waits as the server requests, then requests the next segment.
   * @throws ProxyError connection-lost, or what cut the stream, where it cannot be resumed or that
   * has been in vain too often; the signal's reason.
   */
  async next({ cause, messages }: StreamSegment): Promise<OpenedExchange> {
    const { lastEventId, retryMs } = this.position;
    this.#empty = messages > 0 ? 0 : this.#empty + 1;
    // A clean end with a `retry` time means polling, which may take as long as the call.
    const polled = cause === undefined && retryMs !== undefined;
    this.#stuck = polled || lastEventId !== this.#previousEventId ? 0 : this.#stuck + 1;
    if (lastEventId === undefined || this.#stuck > MAX_RESUME_ATTEMPTS) {
      throw cause ?? connectionLost(this.#deps.transport.host, 'the stream ended without the answer');
    }
    this.#previousEventId = lastEventId;
    return this.#requestNext(lastEventId);
  }

  /** A resumed stream uses the stream lane. */
  async #requestNext(lastEventId: string): Promise<OpenedExchange> {
    const { transport, clock, events, affinity, signal, onAttempt } = this.#deps;
    const headers = resumeHeaders(lastEventId, this.#deps.headers);
    let retryAfterMs = 0;
    for (let failures = 0; ; ) {
      const wait = reconnectDelay(clock, {
        wishMs: retryAfterMs > 0 ? Math.max(retryAfterMs, this.position.retryMs ?? 0) : this.position.retryMs,
        empty: this.#empty + failures,
        failed: failures > 0,
        baseMs: RESUME_BASE_MS,
        maxMs: RESUME_MAX_MS,
      });
      await sleep(clock, wait, signal);
      let opened: OpenedExchange;
      try {
        opened = await transport.open({
          method: 'GET',
          lane: 'stream',
          headers,
          idempotent: true,
          affinity,
          signal,
          observer: { onAttempt },
        });
      } catch (error) {
        const unreachable = error instanceof ProxyError && error.reason !== 'no-credentials';
        if (!unreachable || ++failures > MAX_RESUME_ATTEMPTS) throw error;
        continue;
      }
      const { response, lease } = opened;
      if (response.status === 200 && mediaTypeOf(response.headers) === EVENT_STREAM) {
        events.emit({ type: 'stream.resumed', profile: transport.profile });
        return opened;
      }
      lease.cancel(new Error('not resumed'));
      if (isTemporary(response.status) && ++failures <= MAX_RESUME_ATTEMPTS) {
        retryAfterMs = Math.min(retryAfterOf(response.headers, clock.now()) ?? 0, MAX_RETRY_AFTER_MS);
        continue;
      }
      throw connectionLost(
        transport.host,
        `the stream ended without the answer, and the server did not resume it (HTTP ${response.status})`,
      );
    }
  }
}

/** A position that reports each event id. */
function reportedPosition(onEventId: (id: string) => void): StreamPosition {
  let last: string | undefined;
  return {
    get lastEventId() {
      return last;
    },
    set lastEventId(id) {
      last = id;
      if (id !== undefined) onEventId(id);
    },
    retryMs: undefined,
  };
}
