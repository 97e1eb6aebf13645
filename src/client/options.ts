import { decimal, integer, timeLimit } from '../config/option.ts';

/**
 * SDK clients drop the connection at 10 MiB a line, counted with what is left of the line before:
 * 64 KiB is one read of theirs.
 */
const MAX_LINE_OF_SDK_CLIENTS = 10 * 1024 * 1024 - 64 * 1024;

/** SDK clients wait two seconds for their server to end, and then signal it. */
export const DRAIN_OF_STDIO_S = 1.5;
/** As long as ECS and Kubernetes wait, unless told otherwise, before they kill what they stop. */
export const DRAIN_OF_LISTENER_S = 30;

/** Claude Code and opencode wait 30 s for the answer, counted from the start of npx. */
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
    help: 'longest line written to the client, and longest answer that is read for it, decompressed; at least 65536; 0 = 268435456 are read',
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
