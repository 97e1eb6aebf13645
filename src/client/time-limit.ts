import { ProxyError, type Sent } from '../core/errors/errors.ts';
import type { Request } from '../core/jsonrpc/message.ts';

export interface TimeLimits {
  /** Milliseconds, 0 = no limit. */
  readonly timeoutMs: number;
  readonly toolTimeoutMs: number;
  /** Limit for `initialize` and `server/discover`; `timeoutMs` applies as well. */
  readonly initializeTimeoutMs: number;
}

export interface TimeLimit {
  readonly ms: number;
  /** The flag that sets it; "" where no limit applies. */
  readonly option: string;
}

/** The first request of each era. Clients give up on it by themselves. */
const START_METHODS: ReadonlySet<string> = new Set(['initialize', 'server/discover']);

/** Returns the time limit of a request. A subscription has none. Pure. */
export function timeLimitFor(
  { method }: Request,
  { timeoutMs, toolTimeoutMs, initializeTimeoutMs }: TimeLimits,
): TimeLimit {
  if (method === 'subscriptions/listen') return { ms: 0, option: '' };
  if (method === 'tools/call' || method === 'tasks/result') {
    return { ms: toolTimeoutMs, option: '--tool-timeout' };
  }
  const isShorter = initializeTimeoutMs > 0 && (timeoutMs === 0 || initializeTimeoutMs < timeoutMs);
  if (START_METHODS.has(method) && isShorter) {
    return { ms: initializeTimeoutMs, option: '--initialize-timeout' };
  }
  return { ms: timeoutMs, option: '--timeout' };
}

/** Used where the wait has no recorded reason. */
const UNKNOWN_WAIT =
  'it waited for a free connection (--max-connections), for credentials, for a session, for the list of tools, for its turn (--rate-limit), or to be sent again';

/** The remedy if the server is only slow. */
const ADVICE: Readonly<Record<string, string>> = {
  '--initialize-timeout':
    'Find the cause with mcp-sigv4-proxy doctor. If the server needs longer to start, raise --initialize-timeout and the time limit of your client, or use --lazy.',
  '--timeout': 'If the server needs longer, raise --timeout; 0 = no limit.',
  '--tool-timeout': 'If the tool needs longer, raise --tool-timeout; 0 = no limit.',
};

/** Creates the error for an expired time limit; `how` says what happened to the request. */
export function timeoutError(
  { method }: Request,
  { ms, option }: TimeLimit,
  { how, sent }: { readonly how: string; readonly sent: Sent },
): ProxyError {
  const what = `No answer to ${method} within ${ms / 1000} s (${option}).`;
  // A request that was never sent gains nothing from a longer limit.
  const advice = sent === 'no' ? '' : (ADVICE[option] ?? '');
  return new ProxyError('timeout', `${what} ${how} ${advice}`.trimEnd(), {
    sent,
    fact: what,
    ...(sent === 'maybe'
      ? { ifUnsent: (because = UNKNOWN_WAIT) => `${what} It did not run: ${because}. ${advice}`.trimEnd() }
      : {}),
    details: { limit: option.slice(2), seconds: ms / 1000 },
  });
}
