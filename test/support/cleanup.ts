import { onTestFinished } from 'vitest';

/**
 * Registers the cleanup with the running test. Outside a test (in `beforeAll`, in a bench) nothing
 * is registered, and whoever started the thing closes it.
 */
export function afterThisTest(cleanUp: () => void | Promise<void>): void {
  try {
    onTestFinished(cleanUp);
  } catch {
    // vitest throws where no test is running.
  }
}
