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
    help: 'longest time for any request but tools/call, tasks/result and subscriptions/listen; 0 = no limit',
  }),
  initializeTimeout: timeLimit({
    group: 'Time limits',
    fallback: START_LIMIT_S,
    help: 'longest time for initialize and server/discover: clients give up after 30 s and show no reason; 0 = as --timeout',
  }),
  toolTimeout: timeLimit({
    group: 'Time limits',
    fallback: 300,
    help: 'longest time for tools/call and tasks/result; progress restarts it; 0 = no limit',
  }),
  maxLine: integer({
    group: 'Time limits',
    placeholder: 'bytes',
    min: 0,
    fallback: MAX_LINE_OF_SDK_CLIENTS,
    check: (bytes) =>
      bytes > 0 && bytes < 65_536 ? 'must be 0 (no limit) or an integer >= 65536' : undefined,
    help: 'longest line written to the client, at least 65536; 0 = no limit',
  }),
  drainTimeout: decimal({
    group: 'Sessions',
    placeholder: 's',
    min: 0,
    above: true,
    fallback: undefined,
    defaultText: `${DRAIN_OF_STDIO_S}, or ${DRAIN_OF_LISTENER_S} for clients of --listen`,
    help: 'time that calls in flight get when the client leaves, or the listener ends',
  }),
  progressHeartbeat: timeLimit({
    group: 'Time limits',
    fallback: 0,
    help: 'notify clients of progress on a call that has a progress token, each time its server was silent for so long, until the server does; 0 = never',
  }),
} as const;
