/** Decides whether a trace is recorded. `parent` is the decision of the sender, if any. */
export type Sampler = (traceId: string, parent: boolean | undefined) => boolean;

export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
export type SamplerName = (typeof SAMPLERS)[number];

/**
 * The random bits of a trace id are its last 56 (W3C Trace Context Level 2). These are as many as a
 * number holds exactly.
 */
const RANDOM_DIGITS = 13;
const RANDOM_RANGE = 2 ** 52;

/**
 * Creates the sampler of OTEL_TRACES_SAMPLER. A ratio depends on the trace id alone, so that all
 * services of a trace decide alike.
 * @param ratio - OTEL_TRACES_SAMPLER_ARG, from 0 to 1.
 */
export function createSampler(name: SamplerName, ratio: number): Sampler {
  const root = rootSampler(name, ratio);
  return name.startsWith('parentbased_') ? (traceId, parent) => parent ?? root(traceId) : root;
}

function rootSampler(name: SamplerName, ratio: number): (traceId: string) => boolean {
  if (name.endsWith('always_on')) return () => true;
  if (name.endsWith('always_off')) return () => false;
  if (ratio >= 1) return () => true;
  // Digits of equal length compare as their numbers do.
  const threshold = Math.floor(ratio * RANDOM_RANGE)
    .toString(16)
    .padStart(RANDOM_DIGITS, '0');
  return (traceId) => traceId.slice(-RANDOM_DIGITS) < threshold;
}
