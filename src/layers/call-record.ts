import type { Call, Handler, Layer } from '../core/pipeline/call.ts';
import type { CallRecord } from '../core/pipeline/call-record.ts';
import type { Clock } from '../core/time/clock.ts';

/** Records the profile of a call. */
export const recordProfile: Layer = (next) => (call) => {
  if (call.record) call.record.profile = call.profile;
  return next(call);
};

/**
 * Counts the attempts of a call, the time of each without its waits, and the time from the first
 * attempt to the end of the last.
 */
export function recordAttempts(clock: Clock): Layer {
  return (next) => (call) => (call.record ? recorded(next, call, call.record, clock) : next(call));
}

async function recorded(next: Handler, call: Call, record: CallRecord, clock: Clock): ReturnType<Handler> {
  record.attempts++;
  const since = clock.monotonic();
  record.firstAttemptAt ??= since;
  const waited = record.waitedMs;
  try {
    return await next(call);
  } finally {
    const now = clock.monotonic();
    record.upstreamMs = now - record.firstAttemptAt;
    record.serverMs += Math.max(0, now - since - (record.waitedMs - waited));
  }
}
