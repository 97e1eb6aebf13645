import type { ErrorReason, ProxyError } from './errors.ts';

/**
 * The HTTP status of each error of the proxy: 4xx for faults of the request, 502 and 504 for faults
 * behind the proxy, 503 and 429 for temporary ones. 200 where a call was refused: SDK clients read
 * the JSON-RPC error only there.
 */
const STATUS: Readonly<Record<ErrorReason, number>> = {
  'parse-error': 400,
  'invalid-request': 400,
  internal: 500,
  'connect-failed': 502,
  'connection-lost': 502,
  'http-status': 502,
  'unusable-answer': 502,
  // MCP: on 404 the client opens a new session.
  'session-lost': 404,
  // Never 401: the credentials are the proxy's, and clients would start to log in.
  'no-credentials': 502,
  'auth-rejected': 502,
  timeout: 504,
  'shutting-down': 503,
  'line-too-long': 502,
  redirected: 502,
  'too-many-waiting': 503,
  'rate-limited': 429,
  'circuit-open': 503,
  'no-session': 503,
  'tools-unknown': 503,
  'tool-refused': 200,
  'unknown-profile': 200,
  'unknown-tool': 200,
  'restart-needed': 502,
  'not-opened': 502,
  'client-refused': 403,
  'message-too-large': 413,
  'listener-full': 503,
  'subscription-lost': 502,
  'header-mismatch': 400,
  'invalid-region': 502,
  overloaded: 503,
};

/** The status that goes with an error of the proxy's own. Pure. */
export function statusOf({ reason, details }: ProxyError): number {
  // The credentials are valid but lack the permission.
  if (reason === 'auth-rejected' && details.verdict === 'denied') return 403;
  if (reason === 'http-status') {
    const { httpStatus } = details;
    if (typeof httpStatus === 'number' && httpStatus >= 400 && httpStatus !== 401) return httpStatus;
  }
  return STATUS[reason];
}

/** Used without a known retry time. */
const SOON_MS = 1_000;

/** The headers that go with it: when to try again, in whole seconds. Pure. */
export function retryHeaders(status: number, { retryAfterMs }: ProxyError): Readonly<Record<string, string>> {
  const passing = status === 429 || status === 503;
  if (!passing && retryAfterMs === undefined) return {};
  return { 'retry-after': String(Math.max(1, Math.ceil((retryAfterMs ?? SOON_MS) / 1_000))) };
}
