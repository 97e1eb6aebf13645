/** Classes of HTTP statuses of failed requests, by the prospects of a later attempt. */
export type StatusClass =
  /** Refused unread, because there were too many requests. */
  | 'throttled'
  /** A gateway got no good answer from the server in time. */
  | 'unavailable'
  /** The server itself failed. */
  | 'broken'
  /** Another 5xx: it may pass, but nothing is known of the request. */
  | 'unspecified'
  /** A later attempt would end the same way. */
  | 'final';

const CLASSES: ReadonlyMap<number, StatusClass> = new Map([
  // Means a slow request, but some gateways send it for a slow server.
  [408, 'unavailable'],
  [429, 'throttled'],
  [500, 'broken'],
  [502, 'unavailable'],
  [503, 'unavailable'],
  [504, 'unavailable'],
]);

/**
 * The only table of statuses that may pass. Callers name their exceptions: some treat 401 and 403
 * as temporary, because a person may log in, and some do not retry what is `unspecified`. Pure.
 */
export const statusClassOf = (status: number): StatusClass =>
  CLASSES.get(status) ?? (status >= 500 ? 'unspecified' : 'final');

/** True where a later attempt may succeed. Pure. */
export const isTemporary = (status: number): boolean => statusClassOf(status) !== 'final';

/** True where the server may have begun to process the request. Pure. */
export function mayHaveRunWith(status: number): boolean {
  const kind = statusClassOf(status);
  return kind !== 'final' && kind !== 'throttled';
}

/** The statuses that RFC 9110 and RFC 6585 define with Retry-After for all requests. Pure. */
export const asksForPause = (status: number): boolean => status === 429 || status === 503;
