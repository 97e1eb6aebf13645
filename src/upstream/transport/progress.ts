import { isDeadlineError, unsentReason } from '../../core/errors/errors.ts';
import type { Lease } from '../http/lease.ts';

/** How far a request has got. */
export interface RequestProgress {
  /** The cause of the request's wait; used only before it has a lease. */
  readonly waitReason: string | undefined;
  readonly lease: Lease | undefined;
  /** The head of the response is there. */
  readonly responding: boolean;
}

/**
 * Returns the abort reason with how far the request got, because the cause lies there and not in
 * the time limit. Pure.
 */
export function abortReasonAt(
  { waitReason, lease, responding }: RequestProgress,
  reason: unknown,
  host: string,
): unknown {
  if (!lease) return unsentReason(reason, waitReason);
  if (!isDeadlineError(reason)) return reason;
  if (responding) return reason.with(`${host} began its response and did not end it.`);
  return reason.with(
    lease.open ? `${host} took the request and sent no response.` : `No connection to ${host} was open yet.`,
  );
}
