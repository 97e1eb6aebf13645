import { errorRow } from './error-table.ts';
import type { ProxyError } from './errors.ts';
import { asksForPause } from './status-class.ts';

/** The status that goes with an error of the proxy's own. Pure. */
export function statusOf({ reason, details }: ProxyError): number {
  // The credentials are valid but lack the permission.
  if (reason === 'auth-rejected' && details.verdict === 'denied') return 403;
  if (reason === 'http-status') {
    const { httpStatus } = details;
    if (typeof httpStatus === 'number' && httpStatus >= 400 && httpStatus !== 401) return httpStatus;
  }
  return errorRow(reason).httpStatus;
}

/** Used without a known retry time. */
const SOON_MS = 1_000;

/** The headers that go with it: when to try again, in whole seconds. Pure. */
export function retryHeaders(status: number, { retryAfterMs }: ProxyError): Readonly<Record<string, string>> {
  if (!asksForPause(status) && retryAfterMs === undefined) return {};
  return { 'retry-after': String(Math.max(1, Math.ceil((retryAfterMs ?? SOON_MS) / 1_000))) };
}
