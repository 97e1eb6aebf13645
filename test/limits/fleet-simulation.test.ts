import { describe, expect, it } from 'vitest';
import { seededRandom } from '../support/faults.ts';
import { FleetSimulation } from '../support/fleet-simulation.ts';

const FAULTS = [
  'cut',
  'cut all',
  'heal',
  'pause',
  'resume',
  'kill',
  'replace',
  'flush',
  'kill store',
  'restart store',
  'pause store',
  'resume store',
] as const;

const SECONDS = Number(process.env.SIMULATED_SECONDS ?? 120);
const RUNS = Number(process.env.SIMULATED_FLEETS ?? 4);

async function runUnderFaults(
  seed: number,
  fleet: { readonly ratePerSecond: number; readonly burst: number; readonly replicas: number },
) {
  const random = seededRandom(seed);
  const { ratePerSecond, burst, replicas } = fleet;
  const simulation = new FleetSimulation({
    limit: { ratePerSecond, burst },
    replicas,
    callers: 4,
    random,
  });
  const { members } = simulation;
  const log: string[] = [];
  while (simulation.clock.monotonic() < SECONDS * 1_000) {
    const mean = random() < 0.5 ? 500 : 6_000;
    await simulation.clock.advance(mean * 2 * random());
    const at = Math.floor(random() * replicas);
    const member = members[at];
    const fault = FAULTS[Math.floor(random() * FAULTS.length)];
    log.push(`${Math.round(simulation.clock.monotonic())} ${fault} ${at}`);
    switch (fault) {
      case 'cut':
        if (member) member.isCut = true;
        break;
      case 'cut all':
        for (const each of members) each.isCut = true;
        break;
      case 'heal':
        for (const each of members) each.isCut = false;
        break;
      case 'pause':
        member?.clock.pause();
        break;
      case 'resume':
        for (const each of members) each.clock.resume();
        break;
      case 'kill':
        simulation.kill(at);
        break;
      case 'replace':
        for (const [place, each] of members.entries()) if (each.clock.isDead) simulation.replace(place);
        break;
      case 'flush':
        simulation.flush();
        break;
      case 'kill store':
        simulation.killStore();
        break;
      case 'restart store':
        simulation.restartStore();
        break;
      case 'pause store':
        simulation.pauseStore();
        break;
      case 'resume store':
        simulation.resumeStore();
    }
  }
  return { simulation, log };
}

describe('a simulated fleet under random faults', () => {
  it.each(
    [
      { ratePerSecond: 3, burst: 3, replicas: 3 },
      { ratePerSecond: 10, burst: 5, replicas: 2 },
      { ratePerSecond: 3, burst: 3, replicas: 6 },
    ].flatMap((fleet) => Array.from({ length: RUNS }, (_, seed) => ({ ...fleet, seed: seed + 1 }))),
  )(
    'the server of $replicas replicas receives at most $ratePerSecond/s and a burst of $burst, seed $seed',
    async ({ seed, ...fleet }) => {
      const { simulation, log } = await runUnderFaults(seed, fleet);
      const most = simulation.mostInOneSecond();
      expect(most, log.join('\n')).toBeLessThanOrEqual(fleet.ratePerSecond + fleet.burst);
      expect(simulation.arrivals.length).toBeGreaterThan(SECONDS / 4);
    },
    120_000,
  );
});
