import { type ErrorReason, ProxyError } from '../errors/errors.ts';
import { isObject } from '../jsonrpc/message.ts';
import type { Reply } from './call.ts';
import { errorTypeOf, isRejectedUnread, meaningOf } from './error-type.ts';
import { retryAfterOf } from './retry-after.ts';

/**
 * What is known of an attempt that failed, thrown or answered, in one shape for the policies that
 * judge it.
 */
export interface Failure {
  /** `answered`: the server sent a JSON-RPC error. */
  readonly how: ErrorReason | 'answered';
  readonly status: number | undefined;
  /** Of the JSON-RPC error that the server sent. */
  readonly code: number | undefined;
  readonly message: string;
  /** The name of the AWS error, where the server sent one. */
  readonly errorType?: string;
  /** What the server asked for, or a limit of our own. */
  readonly retryAfterMs: number | undefined;
}

/**
 * The failure that a reply is; undefined where it is none. A tool that reports an error in its
 * result has run.
 */
export function failureOfReply(reply: Reply, now: number): Failure | undefined {
  if (reply.kind !== 'answer' || reply.message.outcome !== 'error') return undefined;
  const { http, message } = reply;
  const error = isObject(message.json.error) ? message.json.error : {};
  const { __type: type } = message.json;
  const named = typeof type === 'string' ? { 'x-amzn-errortype': type } : {};
  const errorType = errorTypeOf({ ...named, ...http?.headers });
  return {
    how: 'answered',
    status: http?.status,
    code: typeof error.code === 'number' ? error.code : undefined,
    message: typeof error.message === 'string' ? error.message : '',
    ...(errorType ? { errorType } : {}),
    retryAfterMs: http && retryAfterOf(http.headers, now),
  };
}

/**
 * The failure that was thrown; undefined where nobody threw it on purpose: a cancellation, or a
 * fault.
 */
export function failureOfError(error: unknown): Failure | undefined {
  if (!(error instanceof ProxyError)) return undefined;
  const { reason, details, fact, retryAfterMs } = error;
  const status = typeof details.httpStatus === 'number' ? details.httpStatus : undefined;
  const { errorType } = details;
  const named = typeof errorType === 'string' ? { errorType } : {};
  return { how: reason, status, code: undefined, message: fact, ...named, retryAfterMs };
}

/**
 * AWS MCP servers throttle with this code, at several HTTP statuses; by itself it could mean
 * anything.
 */
const THROTTLED_CODE = -32004;
const THROTTLED_WORDS = /too many requests|throttl|rate.?limit|rate exceeded/i;

/** True where the server is well and rejected the request unread, because there were too many. */
export function isThrottled({ how, status, code, message, errorType }: Failure): boolean {
  if (how !== 'answered' && how !== 'http-status') return false;
  if (meaningOf(errorType) === 'throttled') return true;
  return status === 429 || (code === THROTTLED_CODE && THROTTLED_WORDS.test(message));
}

/**
 * True where the server is well and rejected the request before it ran, for a reason that passes.
 */
export const isTurnedAway = (failure: Failure): boolean =>
  isThrottled(failure) ||
  ((failure.how === 'answered' || failure.how === 'http-status') && isRejectedUnread(failure.errorType));
