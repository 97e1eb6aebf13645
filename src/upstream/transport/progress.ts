import { isOverdue, unsentReason } from '../../core/errors/errors.ts';
import type { Lease } from '../http/connection-pool.ts';

/** How far a request has got. */
export interface Progress {
  /** What it waits for; read only before it has a lease. */
  readonly because: string | undefined;
  readonly lease: Lease | undefined;
  /** The head of the response is there. */
  readonly responding: boolean;
}

/**
 * Why a request was given up, with how far it has got: the cause is there, and not in the time
 * limit. Pure.
 */
export function reasonAt({ because, lease, responding }: Progress, reason: unknown, host: string): unknown {
  if (!lease) return unsentReason(reason, because);
  if (!isOverdue(reason)) return reason;
  if (responding) return reason.with(`${host} began its response and did not end it.`);
  return reason.with(
    lease.open ? `${host} took the request and sent no response.` : `No connection to ${host} was open yet.`,
  );
}
