import { ProxyError, type Sent } from '../core/errors/errors.ts';
import type { Request } from '../core/jsonrpc/message.ts';

export interface TimeLimits {
  /** Milliseconds, 0 = no limit. */
  readonly timeoutMs: number;
  readonly toolTimeoutMs: number;
  /** Of the requests that a client starts with; `timeoutMs` holds as well. */
  readonly initializeTimeoutMs: number;
}

export interface TimeLimit {
  readonly ms: number;
  /** The flag that sets it; "" where there is none. */
  readonly option: string;
}

/**
 * What a client of either era sends first. Until it is answered, the client shows that it connects,
 * and it gives up by itself.
 */
const START_METHODS: ReadonlySet<string> = new Set(['initialize', 'server/discover']);

/** How long a request may take. A subscription has no end. Pure. */
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

/** For a wait that does not say what it waited for. */
const UNKNOWN_WAIT =
  'it waited for a free connection (--max-connections), for credentials, for a session, for the list of tools, for its turn (--rate-limit), or to be sent again';

/** The remedy, where the server is slow and not broken. */
const ADVICE: Readonly<Record<string, string>> = {
  '--initialize-timeout':
    'Find the cause with mcp-sigv4-proxy doctor. If the server needs longer to start, raise --initialize-timeout and the time limit of your client, or use --lazy.',
  '--timeout': 'If the server needs longer, raise --timeout; 0 = no limit.',
  '--tool-timeout': 'If the tool needs longer, raise --tool-timeout; 0 = no limit.',
};

/** What its client is told when the time is over; `how` says what became of the request. */
export function timeoutError(
  { method }: Request,
  { ms, option }: TimeLimit,
  { how, sent }: { readonly how: string; readonly sent: Sent },
): ProxyError {
  const what = `No answer to ${method} within ${ms / 1000} s (${option}).`;
  // A request that never had its turn needs no longer time: what it waited for does.
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
