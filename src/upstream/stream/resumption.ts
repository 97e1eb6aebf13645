import { ProxyError } from '../../core/errors/errors.ts';
import { retryAfterOf } from '../../core/pipeline/retry-after.ts';
import { reconnectDelay } from '../../core/time/backoff.ts';
import { type Clock, sleep } from '../../core/time/clock.ts';
import type { Lease } from '../http/connection-pool.ts';
import { mediaTypeOf } from '../http/incoming.ts';
import type { Affinity } from '../transport/affinity.ts';
import { connectionLost, type OpenedExchange, type SignedTransport } from '../transport/signed-transport.ts';
import type { StreamPosition } from './stream.ts';

/** Waits between two tries to resume a stream whose server named no time. */
const RESUME_BASE_MS = 500;
const RESUME_MAX_MS = 15_000;
/**
 * Tries in a row that did not even open a stream, before the call that waits is told; its own
 * deadline may come sooner.
 */
const MAX_RESUME_ATTEMPTS = 8;

/**
 * Who asks for a longer pause is asked again all the same: the call may have its answer by then,
 * and its own time limit ends it.
 */
const MAX_RETRY_AFTER_MS = 20_000;

/** The server is throttled or in trouble, which says nothing of the stream. */
const isTransient = (status: number): boolean => status >= 500 || status === 429 || status === 408;

export interface ResumptionDeps {
  readonly transport: SignedTransport;
  readonly clock: Clock;
  /** Of a GET that asks for what follows an event. */
  readonly headersAfter: (lastEventId: string) => Readonly<Record<string, string>>;
  readonly onResumed: () => void;
  readonly affinity: Affinity | undefined;
  readonly signal: AbortSignal;
  readonly onAttempt: (lease: Lease) => void;
}

/**
 * One connection's share of a stream: what cut it, or undefined where it ended cleanly, and how
 * much it brought.
 */
export interface StreamSegment {
  readonly cause: unknown;
  readonly messages: number;
}

/**
 * Where one stream of a call stands, and how it goes on where it ended before the answer: servers
 * that number their events let it.
 */
export class Resumption {
  /** Of the reader, who moves it on. */
  readonly position: StreamPosition = { lastEventId: undefined, retryMs: undefined };
  readonly #deps: ResumptionDeps;
  /** After which event the last piece began. */
  #previousEventId: string | undefined;
  /** Pieces in a row that brought no message. */
  #empty = 0;
  /** Pieces in a row that brought the stream no further. */
  #stuck = 0;

  constructor(deps: ResumptionDeps) {
    this.#deps = deps;
  }

  /**
   * Waits as long as the server wants, and asks for the next piece.
   * @throws ProxyError connection-lost, or what cut the stream, where it cannot be resumed or that
   * has been in vain too often; the signal's reason.
   */
  async next({ cause, messages }: StreamSegment): Promise<OpenedExchange> {
    const { lastEventId, retryMs } = this.position;
    this.#empty = messages > 0 ? 0 : this.#empty + 1;
    // Who closes in order and says when to come again makes its client poll, for as long as the
    // call takes.
    const polled = cause === undefined && retryMs !== undefined;
    this.#stuck = polled || lastEventId !== this.#previousEventId ? 0 : this.#stuck + 1;
    if (lastEventId === undefined || this.#stuck > MAX_RESUME_ATTEMPTS) {
      throw cause ?? connectionLost(this.#deps.transport.host, 'the stream ended without the answer');
    }
    this.#previousEventId = lastEventId;
    return this.#requestNext(lastEventId);
  }

  /** A resumed stream stands beside the connections of requests. */
  async #requestNext(lastEventId: string): Promise<OpenedExchange> {
    const { transport, clock, headersAfter, onResumed, affinity, signal, onAttempt } = this.#deps;
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
          headers: headersAfter(lastEventId),
          idempotent: true,
          affinity,
          signal,
          onAttempt,
        });
      } catch (error) {
        const unreachable = error instanceof ProxyError && error.reason !== 'no-credentials';
        if (!unreachable || ++failures > MAX_RESUME_ATTEMPTS) throw error;
        continue;
      }
      const { response, lease } = opened;
      if (response.status === 200 && mediaTypeOf(response.headers) === 'text/event-stream') {
        onResumed();
        return opened;
      }
      lease.cancel(new Error('not resumed'));
      if (isTransient(response.status) && ++failures <= MAX_RESUME_ATTEMPTS) {
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
