import { type Notification, progressTokenOf, type Request, valueTextAt } from '../core/jsonrpc/message.ts';
import type { Clock, Timer } from '../core/time/clock.ts';

const TOKEN_PATH = ['params', '_meta', 'progressToken'] as const;

/**
 * Streams have no end that progress could lead to; and before the answer to initialize a client can
 * take no notification.
 */
const METHODS_WITHOUT_HEARTBEAT = ['initialize', 'subscriptions/listen'];

export interface HeartbeatOptions {
  readonly clock: Clock;
  /** Milliseconds between two notifications; 0 = none. */
  readonly everyMs: number;
  /** Sends one to the client that made the call, where it can be sent now. */
  readonly send: (progress: Notification) => void;
}

/** Stops for good. */
export interface Heartbeat {
  stop(): void;
}

/**
 * The progress that the proxy notifies of a call whose server is silent: some clients give up a
 * call without progress, however long it may take. Its owner stops it at the server's first
 * progress, and when the call is over.
 * @returns undefined where the call has no progress token, or is none that ends.
 */
export function startHeartbeat(
  request: Request,
  { clock, everyMs, send }: HeartbeatOptions,
): Heartbeat | undefined {
  if (
    everyMs === 0 ||
    METHODS_WITHOUT_HEARTBEAT.includes(request.method) ||
    progressTokenOf(request) === undefined
  )
    return undefined;
  const token = valueTextAt(request.text, TOKEN_PATH) ?? '';
  let timer: Timer;
  let count = 0;
  const wait = (): void => {
    timer = clock.schedule(
      everyMs,
      () => {
        count++;
        send(createProgress(token, count, (count * everyMs) / 1_000));
        wait();
      },
      { keepAlive: false },
    );
  };
  wait();
  return { stop: () => timer.cancel() };
}

/**
 * Progress must increase with each notification, and nobody knows what the server's first will be:
 * 0 is common. What increases towards zero is less than that for ever. Pure.
 */
export function createProgress(token: string, count: number, seconds: number): Notification {
  const params = `"progressToken":${token},"progress":${-1 / (1_000 * count)},"message":"no answer after ${seconds} s"`;
  const text = `{"jsonrpc":"2.0","method":"notifications/progress","params":{${params}}}`;
  return { kind: 'notification', text, json: JSON.parse(text), method: 'notifications/progress' };
}
