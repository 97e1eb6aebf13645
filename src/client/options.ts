import { decimal, integer, timeLimit } from '../config/option.ts';

/**
 * SDK clients close the connection at 10 MiB per line, including the rest of the previous read (64
 * KiB).
 */
const MAX_LINE_OF_SDK_CLIENTS = 10 * 1024 * 1024 - 64 * 1024;

/** SDK clients signal their server 2 s after closing stdin. */
export const DRAIN_OF_STDIO_S = 1.5;
/** The default stop timeout of ECS and Kubernetes. */
export const DRAIN_OF_LISTENER_S = 30;

/** Claude Code and opencode give up 30 s after they start npx. */
const START_LIMIT_S = 25;

export const relayOptions = {
  timeout: timeLimit({
    group: 'Time limits',
    fallback: 180,
    help: 'time limit of every request except tools/call, tasks/result and subscriptions/listen; 0 = no limit',
  }),
  initializeTimeout: timeLimit({
    group: 'Time limits',
    fallback: START_LIMIT_S,
    help: 'time limit of initialize and server/discover, because clients give up after 30 s without a reason; 0 = the value of --timeout',
  }),
  toolTimeout: timeLimit({
    group: 'Time limits',
    common: true,
    fallback: 300,
    help: 'time limit of tools/call and tasks/result; progress notifications restart it; 0 = no limit',
  }),
  maxLine: integer({
    group: 'Time limits',
    placeholder: 'bytes',
    min: 0,
    fallback: MAX_LINE_OF_SDK_CLIENTS,
    check: (bytes) =>
      bytes > 0 && bytes < 65_536 ? 'must be 0 (no limit) or an integer >= 65536' : undefined,
    help: 'longest line written to the client, and longest answer that is read for it, decompressed; at least 65536; 0 = no limit for the line, and 268435456 for what is read',
  }),
  drainTimeout: decimal({
    group: 'Sessions',
    placeholder: 's',
    min: 0,
    above: true,
    fallback: undefined,
    defaultText: `${DRAIN_OF_STDIO_S}, or ${DRAIN_OF_LISTENER_S} for clients of --listen`,
    help: 'time that calls in flight get when the client disconnects or the listener stops',
  }),
  progressHeartbeat: timeLimit({
    group: 'Time limits',
    fallback: 0,
    help: 'send progress for a call with a progress token after each silence of this length, until the server reports progress itself; 0 = never',
  }),
} as const;
