import { ERROR_SOURCE } from '../../core/errors/errors.ts';
import { isObject, METHOD_NOT_FOUND } from '../../core/jsonrpc/message.ts';

/** The consequence of an error for the session that it happened on. */
export type SessionFault =
  /** The connection failed, or the server does not know the session: it is not used again. */
  | 'broken'
  /** The server refused the credentials: other credentials may succeed. */
  | 'refused'
  /** The server requested a pause. */
  | 'throttled';

/** Reasons of a proxy's error that mean a broken connection or session. */
const BROKEN_REASONS: ReadonlySet<unknown> = new Set(['connection-lost', 'connect-failed', 'session-lost']);
const REFUSED_REASONS: ReadonlySet<unknown> = new Set(['auth-rejected', 'no-credentials', 'invalid-region']);

/** The HTTP status that errors of the SDKs carry; undefined for errors without one. */
function statusOf(error: object): number | undefined {
  const { code, status, data } = error as { code?: unknown; status?: unknown; data?: unknown };
  const inData = isObject(data) ? data.status : undefined;
  const found = [status, code, inData].find(
    (value) => typeof value === 'number' && value >= 400 && value <= 599,
  );
  return found as number | undefined;
}

function faultOfStatus(status: number): SessionFault | undefined {
  if (status === 401 || status === 403) return 'refused';
  if (status === 429 || status === 503) return 'throttled';
  return status === 404 || status >= 500 ? 'broken' : undefined;
}

/** The fault that an error object of JSON-RPC shows; only the proxy's own show one. Pure. */
export function faultOfReply(error: unknown): SessionFault | undefined {
  if (!isObject(error) || !isObject(error.data) || error.data.source !== ERROR_SOURCE) return undefined;
  const { reason, status } = error.data;
  if (BROKEN_REASONS.has(reason)) return 'broken';
  if (REFUSED_REASONS.has(reason)) return 'refused';
  return reason === 'http-status' && typeof status === 'number' ? faultOfStatus(status) : undefined;
}

/** The fault that a rejected `send` or `connect` shows. Errors of tools show none. Pure. */
export function faultOfError(error: unknown): SessionFault | undefined {
  const seen = new Set<unknown>();
  let fault: SessionFault | undefined = 'broken';
  for (
    let current: unknown = error;
    current instanceof Error && !seen.has(current);
    current = current.cause
  ) {
    seen.add(current);
    const status = statusOf(current);
    if (status !== undefined) return faultOfStatus(status);
    const { data, name } = current as { data?: unknown; name?: unknown };
    if (name === 'AbortError') return undefined;
    fault = faultOfReply({ data }) ?? fault;
  }
  return fault;
}

/** True where the server does not know the method. Pure. */
export const isUnknownMethod = (error: unknown): boolean =>
  error instanceof Error &&
  ((error as { code?: unknown }).code === METHOD_NOT_FOUND ||
    /^METHOD_NOT_SUPPORTED/.test(String((error as { code?: unknown }).code)));
