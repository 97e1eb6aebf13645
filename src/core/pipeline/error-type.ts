import type { HttpFacts } from './call.ts';

/** The meaning of an AWS error type for the request, whatever the HTTP status. */
export type ErrorMeaning =
  /** There were too many requests: this one was rejected before it ran. */
  | 'throttled'
  /** It met another request on the same resource, and was rejected before it ran. */
  | 'conflict'
  /** A quota of the account is used up: another attempt is rejected too. */
  | 'quota';

/** The names that the AWS SDKs retry as throttling. */
const THROTTLING: ReadonlySet<string> = new Set([
  'BandwidthLimitExceeded',
  'EC2ThrottledException',
  'LimitExceededException',
  'PriorRequestNotComplete',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'SlowDown',
  'ThrottledException',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
  'TransactionInProgressException',
]);

const CONFLICTS: ReadonlySet<string> = new Set(['RetryableConflictException']);
const QUOTAS: ReadonlySet<string> = new Set(['ServiceQuotaExceededException']);

/** The meaning of an error name; undefined for every other name. Pure. */
export function meaningOf(errorType: string | undefined): ErrorMeaning | undefined {
  if (!errorType) return undefined;
  if (CONFLICTS.has(errorType)) return 'conflict';
  if (QUOTAS.has(errorType)) return 'quota';
  return THROTTLING.has(errorType) || errorType.startsWith('Throttling') ? 'throttled' : undefined;
}

/**
 * True where the error name says that the request did not run and that another attempt can succeed.
 * Pure.
 */
export function isRejectedUnread(errorType: string | undefined): boolean {
  const meaning = meaningOf(errorType);
  return meaning === 'throttled' || meaning === 'conflict';
}

/**
 * The bare name of an AWS error, from the header `x-amzn-errortype` or from `__type` or `code` of
 * the body; "" if neither has one. Namespaces before "#" and addresses after ":" are removed, as
 * the AWS SDKs do. Pure.
 */
export function errorTypeOf(headers: HttpFacts['headers'], body?: string): string {
  const header = headers['x-amzn-errortype'];
  return bareName(Array.isArray(header) ? header[0] : header) || typeInBody(body);
}

/** An error body is short; a longer one is an answer. */
const MAX_ERROR_BODY_CHARACTERS = 64 * 1024;

function typeInBody(body: string | undefined): string {
  if (!body || body.length > MAX_ERROR_BODY_CHARACTERS || !/^\s*\{/.test(body)) return '';
  try {
    const { __type: type, code } = JSON.parse(body) as { __type?: unknown; code?: unknown };
    return bareName(type) || bareName(code);
  } catch {
    return '';
  }
}

const bareName = (value: unknown): string =>
  typeof value === 'string' ? (/^(?:[^,:#]*#)?([A-Za-z][\w.]*)(?:[,:].*)?$/.exec(value)?.[1] ?? '') : '';

/**
 * AgentCore Runtime answers 424 while the container or microVM behind it has not started in time.
 */
const INITIALIZATION = /initiali[sz]ation/i;

/**
 * True if the server's runtime had not started yet. The request may have reached it. Pure.
 */
export const isColdStart = (status: number | undefined, words: string): boolean =>
  status === 424 && INITIALIZATION.test(words);
