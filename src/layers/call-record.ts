import type { Call, Handler, Layer } from '../core/pipeline/call.ts';
import type { Clock } from '../core/time/clock.ts';

/** Records the profile of a call, and the time from its first attempt to the end of its last. */
export function recordUpstream(clock: Clock): Layer {
  return (next) => (call) => (call.record ? recordedUpstream(next, call, clock) : next(call));
}

async function recordedUpstream(next: Handler, call: Call, clock: Clock): ReturnType<Handler> {
  const { record, profile } = call;
  if (!record) return next(call);
  record.profile = profile;
  const since = clock.monotonic();
  try {
    return await next(call);
  } finally {
    record.upstreamMs += clock.monotonic() - since;
  }
}

/** Counts the attempts of a call, and the time of each without its waits. */
export function recordAttempts(clock: Clock): Layer {
  return (next) => (call) => (call.record ? recordedAttempt(next, call, clock) : next(call));
}

async function recordedAttempt(next: Handler, call: Call, clock: Clock): ReturnType<Handler> {
  const { record } = call;
  if (!record) return next(call);
  record.attempts++;
  const since = clock.monotonic();
  const waited = record.waitedMs;
  try {
    return await next(call);
  } finally {
    record.serverMs += Math.max(0, clock.monotonic() - since - (record.waitedMs - waited));
  }
}
