import type { ErrorReason, ProxyError } from './errors.ts';

/**
 * What an HTTP client is told beside an error of the proxy's own. What is wrong with the request is
 * a 4xx, what is wrong behind the proxy a 502 or 504, what will be over in a moment a 503 or 429.
 * 200 where the request was carried as HTTP and refused as a call: SDK clients read the JSON-RPC
 * error only there.
 */
const STATUS: Readonly<Record<ErrorReason, number>> = {
  'parse-error': 400,
  'invalid-request': 400,
  internal: 500,
  'connect-failed': 502,
  'connection-lost': 502,
  'http-status': 502,
  'unusable-answer': 502,
  // As MCP says it: the client opens a new session.
  'session-lost': 404,
  // Never 401: the credentials are the proxy's, and clients would start to log in to it.
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
  // The credentials are good, and whoever owns them may not do this.
  if (reason === 'auth-rejected' && details.verdict === 'denied') return 403;
  if (reason === 'http-status') {
    const { httpStatus } = details;
    if (typeof httpStatus === 'number' && httpStatus >= 400 && httpStatus !== 401) return httpStatus;
  }
  return STATUS[reason];
}

/** Where neither a server nor a limit has said when: soon, but not at once. */
const SOON_MS = 1_000;

/** The headers that go with it: when to try again, in whole seconds. Pure. */
export function retryHeaders(status: number, { retryAfterMs }: ProxyError): Readonly<Record<string, string>> {
  const passing = status === 429 || status === 503;
  if (!passing && retryAfterMs === undefined) return {};
  return { 'retry-after': String(Math.max(1, Math.ceil((retryAfterMs ?? SOON_MS) / 1_000))) };
}
