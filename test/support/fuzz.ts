import fc from 'fast-check';

/** As long as one fuzzer runs in `npm run fuzz`; in `npm test` it runs once. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 0);
/** Every `npm test` looks at the same cases. */
const SEED = Number(process.env.FUZZ_SEED ?? 20_260_728);

/** How long a test with a fuzzer may take, in milliseconds. */
export const FUZZ_TIMEOUT = (SECONDS + 120) * 1_000;

/**
 * Checks a property with so many cases, and in `npm run fuzz` with as many again under the next
 * seed, until the time is over. A failure names the seed that repeats it.
 */
export async function fuzz<T>(
  property: fc.IAsyncProperty<T> | fc.IProperty<T>,
  numRuns: number,
): Promise<void> {
  const started = performance.now();
  for (let seed = SEED; seed === SEED || performance.now() - started < SECONDS * 1_000; seed++) {
    await fc.assert(property as fc.IAsyncProperty<T>, { seed, numRuns });
  }
}
