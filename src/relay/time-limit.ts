import { ProxyError, type Sent } from '../core/errors.ts';
import type { Request } from '../core/message.ts';

export interface TimeLimits {
  /** Milliseconds, 0 = no limit. */
  readonly timeoutMs: number;
  readonly toolTimeoutMs: number;
}

export interface TimeLimit {
  readonly ms: number;
  /** The flag that sets it; "" where there is none. */
  readonly option: string;
}

/** How long a request may take. A subscription has no end. Pure. */
export function timeLimitOf({ method }: Request, { timeoutMs, toolTimeoutMs }: TimeLimits): TimeLimit {
  if (method === 'subscriptions/listen') return { ms: 0, option: '' };
  if (method === 'tools/call' || method === 'tasks/result') {
    return { ms: toolTimeoutMs, option: '--tool-timeout' };
  }
  return { ms: timeoutMs, option: '--timeout' };
}

const WAITED =
  'It did not run: until then it waited for a free connection (--max-connections), for credentials, for a session, for the list of tools, for its turn (--rate-limit), or to be sent again.';

/** What its client is told when the time is over; `how` says what became of the request. */
export function overdue(
  { method }: Request,
  { ms, option }: TimeLimit,
  { how, sent }: { readonly how: string; readonly sent: Sent },
): ProxyError {
  const what = `No answer to ${method} within ${ms / 1000} s (${option}).`;
  return new ProxyError('timeout', `${what} ${how}`, {
    sent,
    ...(sent === 'maybe' ? { ifUnsent: `${what} ${WAITED}` } : {}),
    details: { limit: option.slice(2), seconds: ms / 1000 },
  });
}
