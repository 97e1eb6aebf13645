import { toError } from '../../core/errors/errors.ts';
import type { Call } from '../../core/pipeline/call.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';
import { TransportFailure } from '../http/connection.ts';
import type { Incoming } from '../http/incoming.ts';
import type { Lease } from '../http/lease.ts';

/**
 * How long a kept connection may be silent before the request is sent on a new one as well. A
 * machine that slept, a VPN that changed and a NAT that forgot give no sign; most requests that may
 * be sent twice are answered in less.
 */
export const HEDGE_AFTER_MS = 5_000;
/**
 * A tool that is well may work in silence for longer, and would work twice: most servers that
 * stream send the head of their answer at once, the others answer most calls in this time.
 */
export const HEDGE_TOOL_AFTER_MS = 15_000;

/**
 * `initialize` never uses a connection that was idle for longer: it cannot be hedged, and is rare,
 * so that the handshake of a new connection costs less than the risk.
 */
export const MAX_IDLE_OPENING_MS = 2_000;
/**
 * The same for a call that must not run twice. A pause of this length comes between two turns of a
 * model, where a handshake is not noticed; calls in a row keep their connection.
 */
export const MAX_IDLE_UNREPEATABLE_MS = 10_000;

/** How long the connection of a request may have been idle; undefined = a hedge covers it. Pure. */
export function maxIdleMsOf(request: {
  readonly idempotent: boolean;
  readonly opensSession?: boolean | undefined;
}): number | undefined {
  if (request.opensSession === true) return MAX_IDLE_OPENING_MS;
  return request.idempotent ? undefined : MAX_IDLE_UNREPEATABLE_MS;
}

/** The wait for what is posted together. Pure. */
export const hedgeAfterMsOf = (calls: readonly Pick<Call, 'message'>[]): number =>
  calls.some(isToolCall) ? HEDGE_TOOL_AFTER_MS : HEDGE_AFTER_MS;

const isToolCall = ({ message }: Pick<Call, 'message'>): boolean =>
  message.kind === 'request' && message.method === 'tools/call';

/** A request on its way, and the place that it has. */
export interface HedgedAttempt {
  readonly lease: Lease;
  readonly answer: Promise<Incoming>;
}

export interface HedgeResult {
  readonly lease: Lease;
  readonly response: Incoming;
  /** True where a second attempt was made. */
  readonly contested: boolean;
}

export interface HedgeDeps {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How long the connection may be silent. */
  readonly afterMs?: number | undefined;
  readonly send: (lease: Lease) => Promise<Incoming>;
}

const OTHER_WON = new Error('another connection answered first');

/**
 * Waits for the answer to a request that may be sent twice, and sends it on a new connection too
 * where none begins in time. Where every place is taken, the new connection replaces the silent
 * one, so that no more are open than may be. One answer is kept; the connection of the other
 * attempt is closed.
 * @throws TransportFailure of the last attempt, when every one has failed.
 */
export function hedge(
  first: HedgedAttempt,
  { clock, signal, send, afterMs = HEDGE_AFTER_MS }: HedgeDeps,
): Promise<HedgeResult> {
  return new Promise((resolve, reject) => {
    const pending = new Set<HedgedAttempt>();
    let contested = false;
    let over = false;
    let sent = false;
    let timer: Timer | undefined;
    const cutAll = (reason: Error): void => {
      for (const { lease } of [...pending]) lease.cancel(reason);
    };
    const onAbort = (): void =>
      cutAll(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)));
    const finish = (): void => {
      over = true;
      timer?.cancel();
      signal.removeEventListener('abort', onAbort);
    };
    const watch = (attempt: HedgedAttempt): void => {
      pending.add(attempt);
      attempt.answer.then(
        (response) => {
          if (over || !pending.delete(attempt)) return;
          finish();
          cutAll(OTHER_WON);
          resolve({ lease: attempt.lease, response, contested });
        },
        (error: unknown) => {
          sent ||= error instanceof TransportFailure && error.sent !== 'no';
          attempt.lease.cancel(toError(error));
          if (over || !pending.delete(attempt) || pending.size > 0) return;
          finish();
          reject(sent ? asSent(error) : error);
        },
      );
    };
    signal.addEventListener('abort', onAbort, { once: true });
    watch(first);
    timer = clock.schedule(afterMs, () => {
      if (signal.aborted) return;
      let lease = first.lease.leaseAnother();
      if (!lease) {
        lease = first.lease.replaceConnection(
          new Error(`the connection was silent for ${afterMs / 1_000} s`),
        );
        if (!lease) return;
        pending.delete(first);
        // Its bytes have left, whatever becomes of the second.
        sent = true;
      }
      contested = true;
      try {
        watch({ lease, answer: send(lease) });
      } catch (error) {
        watch({ lease, answer: Promise.reject(error) });
      }
    });
  });
}

/** A request that one attempt has sent must not be reported as unsent. */
const asSent = (error: unknown): unknown =>
  error instanceof TransportFailure && error.sent === 'no' && error.cause instanceof Error
    ? new TransportFailure(error.cause, 'maybe', error.reused)
    : error;
