import type { RelayDeps } from './client/stdio/relay-deps.ts';
import type { TimeLimits } from './client/time-limit.ts';
import type { Settings } from './settings.ts';
import { SECOND_MS, type Wiring } from './wiring.ts';

/** The time limits of requests, for clients of both transports. */
export function timeLimits({ timeout, toolTimeout, initializeTimeout }: Settings): TimeLimits {
  return {
    timeoutMs: timeout * SECOND_MS,
    toolTimeoutMs: toolTimeout * SECOND_MS,
    initializeTimeoutMs: initializeTimeout * SECOND_MS,
  };
}

/** The settings for the relay of a stdio client. */
export function relayDeps(
  settings: Settings,
  { clock, events }: Wiring,
): Omit<RelayDeps, 'handler' | 'client' | 'send'> {
  return {
    profile: settings.defaultProfile,
    clock,
    events,
    limits: { ...timeLimits(settings), maxLineBytes: settings.maxLine },
    heartbeatMs: settings.progressHeartbeat * SECOND_MS,
  };
}
