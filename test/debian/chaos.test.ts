import { describe, expect, it } from 'vitest';
import { balancerProgram } from './balancers.ts';
import { chaosProblems, runChaos } from './chaos.ts';
import { hasRedis } from './redis-server.ts';

/** `npm run fleet -- --chaos <seconds>` sets both. */
const SECONDS = Number(process.env.CHAOS_SECONDS ?? 20);
const SEED = Number(process.env.CHAOS_SEED ?? 1);

describe.skipIf(!hasRedis || !balancerProgram('haproxy'))('a fleet under faults', () => {
  it(
    'a fleet whose replicas and Redis fail answers each request once, runs none twice and keeps the quota',
    async () => {
      const progress = process.env.CHAOS_SECONDS
        ? (text: string) => process.stderr.write(`${text}\n`)
        : undefined;
      const result = await runChaos({ seconds: SECONDS, seed: SEED, ...(progress ? { progress } : {}) });
      if (progress) progress(JSON.stringify(result, null, 2));
      expect(chaosProblems(result), JSON.stringify(result)).toEqual([]);
    },
    (SECONDS + 240) * 1_000,
  );
});
