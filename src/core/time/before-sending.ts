import { unsentReason } from '../errors/errors.ts';
import { abortable } from './clock.ts';

/**
 * Settles as `work` does, which a call waits for before any of it is sent, and that others may wait
 * for, too. Who gives the call up meanwhile hears that it did not run, and may send it again
 * without a thought.
 */
export async function abortableUnsent<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await abortable(work, signal);
  } catch (error) {
    throw signal.aborted ? unsentReason(signal.reason) : error;
  }
}
