import { unsentReason } from '../errors/errors.ts';
import { abortable } from './clock.ts';

/**
 * Like `abortable`, for a wait before anything is sent: an abort rejects with the "not sent" form
 * of its reason, so the caller knows that a retry is safe.
 */
export async function abortableUnsent<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await abortable(work, signal);
  } catch (error) {
    throw signal.aborted ? unsentReason(signal.reason) : error;
  }
}
