/** Clients of the SDK may combine a signal with others, which takes one of the platform. */
export async function withPlatformSignal<T>(
  signal: AbortSignal,
  work: (platform: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const leave = (): void => controller.abort(signal.reason);
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave, { once: true });
  try {
    return await work(controller.signal);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
