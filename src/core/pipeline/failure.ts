import { type ErrorReason, ProxyError } from '../errors/errors.ts';
import { statusClassOf } from '../errors/status-class.ts';
import { isObject } from '../jsonrpc/message.ts';
import type { Reply } from './call.ts';
import { errorTypeOf, isRejectedUnread, meaningOf } from './error-type.ts';
import { retryAfterOf } from './retry-after.ts';

/** A failed attempt, thrown or answered, in one form for the policies that judge it. */
export interface Failure {
  /** `answered`: the server sent a JSON-RPC error. */
  readonly how: ErrorReason | 'answered';
  readonly status: number | undefined;
  /** The code of the server's JSON-RPC error. */
  readonly code: number | undefined;
  readonly message: string;
  /** The name of the AWS error, where the server sent one. */
  readonly errorType?: string;
  /** The server's Retry-After, or that of a limit of the proxy. */
  readonly retryAfterMs: number | undefined;
}

/**
 * The failure in a reply; undefined for a success. A tool that reports an error in its result has
 * run.
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

/** The failure in a thrown error; undefined for cancellations and unexpected errors. */
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

/** True where a working server rejected the request unread, because there were too many. */
export function isThrottled({ how, status, code, message, errorType }: Failure): boolean {
  if (how !== 'answered' && how !== 'http-status') return false;
  if (meaningOf(errorType) === 'throttled') return true;
  const byStatus = status !== undefined && statusClassOf(status) === 'throttled';
  return byStatus || (code === THROTTLED_CODE && THROTTLED_WORDS.test(message));
}

/** True where a working server rejected the request before it ran, for a temporary reason. */
export const isTurnedAway = (failure: Failure): boolean =>
  isThrottled(failure) ||
  ((failure.how === 'answered' || failure.how === 'http-status') && isRejectedUnread(failure.errorType));
