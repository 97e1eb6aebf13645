import { abortable } from '../../core/time/waits.ts';

/**
 * Runs work with an `AbortSignal` of the platform, which clients of the SDK may combine with
 * others. Rejects at an abort, even if the work continues.
 */
export async function withPlatformSignal<T>(
  signal: AbortSignal,
  work: (platform: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const leave = (): void => controller.abort(signal.reason);
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave, { once: true });
  try {
    return await abortable(work(controller.signal), controller.signal);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
