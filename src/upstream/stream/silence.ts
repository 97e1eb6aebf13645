import { ProxyError } from '../../core/errors/errors.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';
import type { Incoming } from '../http/incoming.ts';

export interface SilenceWatch {
  readonly clock: Clock;
  /** --read-timeout, where it is not 0. */
  readonly limitMs: number;
  /** False once no request waits: the stream may then be silent. */
  readonly isAwaited: () => boolean;
  readonly onSilence: (error: ProxyError) => void;
}

/** Runs `read`, and calls `onSilence` where the server is silent for too long. */
export async function withSilenceLimit<T>(
  { clock, limitMs, isAwaited, onSilence }: SilenceWatch,
  response: Incoming,
  read: () => Promise<T>,
): Promise<T> {
  let watch: Timer | undefined;
  const rearm = (): void => {
    watch?.cancel();
    if (!isAwaited()) return;
    watch = clock.schedule(limitMs, () => {
      if (response.starved) onSilence(silenceError(limitMs));
      // Unread bytes remain: the client is slow, not the server.
      else rearm();
    });
  };
  response.onChunk = rearm;
  rearm();
  try {
    return await read();
  } finally {
    response.onChunk = undefined;
    watch?.cancel();
  }
}

const silenceError = (ms: number): ProxyError =>
  new ProxyError(
    'timeout',
    `The server sent nothing for ${ms / 1000} s in the middle of an answer (--read-timeout). The call may have run. If the server needs longer between two messages, raise --read-timeout; 0 = no limit.`,
    { sent: 'maybe', details: { limit: 'read-timeout', seconds: ms / 1000 } },
  );
