import { type Notification, progressTokenOf, type Request, valueTextAt } from '../core/jsonrpc/message.ts';
import type { Clock, Timer } from '../core/time/clock.ts';

const TOKEN_PATH = ['params', '_meta', 'progressToken'] as const;

/**
 * A stream never ends, so progress means nothing there. Before the answer to `initialize` a client
 * accepts no notification.
 */
const METHODS_WITHOUT_HEARTBEAT = ['initialize', 'subscriptions/listen'];

export interface HeartbeatOptions {
  readonly clock: Clock;
  /** Milliseconds between two notifications; 0 = none. */
  readonly everyMs: number;
  /** Sends the notification to the client that made the call. */
  readonly send: (progress: Notification) => void;
}

/** `stop` is final. */
export interface Heartbeat {
  stop(): void;
}

/**
 * Notifies progress for a call while its server is silent: some clients give up a call without
 * progress. The caller stops it at the server's first progress and at the end of the call.
 * @returns undefined where the call has no progress token or never ends.
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
 * Progress must increase, and the server may later start at 0. Negative values that increase
 * towards 0 stay below any such value. Pure.
 */
export function createProgress(token: string, count: number, seconds: number): Notification {
  const params = `"progressToken":${token},"progress":${-1 / (1_000 * count)},"message":"no answer after ${seconds} s"`;
  const text = `{"jsonrpc":"2.0","method":"notifications/progress","params":{${params}}}`;
  return { kind: 'notification', text, json: JSON.parse(text), method: 'notifications/progress' };
}
