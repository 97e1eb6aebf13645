import { CallController } from '../core/time/call-signal.ts';
import type { Clock } from '../core/time/clock.ts';

/** Methods for health checks; `skip` ends the list without a request. */
export const HEALTH_METHODS: readonly string[] = [
  'ping',
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'skip',
];

/** The result of one probe. Other failures are thrown. */
export type ProbeResult = 'answered' | 'unknown-method';

export interface HealthCheck {
  readonly methods: readonly string[];
  /** For each method. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** `error`: the last failure of a probe, if any. */
export interface HealthVerdict {
  readonly healthy: boolean;
  readonly error: unknown;
}

const HEALTHY: HealthVerdict = { healthy: true, error: undefined };

/**
 * Sends the methods in order until one is answered. An unknown method leads to the next. So does a
 * timeout, but then `skip` no longer counts as healthy. Never throws.
 */
export async function checkHealth(
  { methods, timeoutMs, clock }: HealthCheck,
  probe: (method: string, signal: AbortSignal) => Promise<ProbeResult>,
  signal: AbortSignal,
): Promise<HealthVerdict> {
  let hung = false;
  let error: unknown;
  for (const method of methods) {
    if (method === 'skip') return hung ? { healthy: false, error } : HEALTHY;
    const controller = new CallController();
    const leave = (): void => controller.abort(signal.reason);
    if (signal.aborted) break;
    signal.addEventListener('abort', leave, { once: true });
    let late = false;
    const timer = clock.schedule(
      timeoutMs,
      () => {
        late = true;
        controller.abort(new Error(`no answer to ${method} within ${timeoutMs / 1_000} s`));
      },
      { keepAlive: false },
    );
    try {
      if ((await probe(method, controller.signal)) === 'answered') return HEALTHY;
    } catch (failure) {
      error = failure;
      if (!late) break;
      hung = true;
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', leave);
    }
  }
  return { healthy: false, error };
}
