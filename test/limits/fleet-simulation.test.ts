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
const RUNS = Number(process.env.SIMULATED_FLEETS ?? 5);

const MAX_MISSING_MS = 15_000;

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
  let cutAt = 0;
  let pausedAt = 0;
  const heal = (): void => {
    for (const each of members) each.isCut = false;
  };
  // All have joined.
  await simulation.clock.advance(3_000);
  while (simulation.clock.monotonic() < SECONDS * 1_000) {
    const until = simulation.clock.monotonic() + (random() < 0.5 ? 1_000 : 12_000) * random();
    while (simulation.clock.monotonic() < until) {
      // Idle times save turns, and the bound is reached when all are used at once.
      simulation.idle();
      await simulation.clock.advance(1_500 * random());
      simulation.busy();
      await simulation.clock.advance(2_500 * random());
    }
    const isCut = members.some((each) => each.isCut);
    // Later, the others use the shares of missing replicas.
    if (isCut && simulation.clock.monotonic() - cutAt > MAX_MISSING_MS) heal();
    if (simulation.clock.monotonic() - pausedAt > MAX_MISSING_MS)
      for (const each of members) each.clock.resume();
    const at = Math.floor(random() * replicas);
    const member = members[at];
    const fault = FAULTS[Math.floor(random() * FAULTS.length)];
    log.push(`${Math.round(simulation.clock.monotonic())} ${fault} ${at}`);
    switch (fault) {
      case 'cut':
        if (!isCut) cutAt = simulation.clock.monotonic();
        if (member) member.isCut = true;
        break;
      case 'cut all':
        if (!isCut) cutAt = simulation.clock.monotonic();
        for (const each of members) each.isCut = true;
        break;
      case 'heal':
        heal();
        break;
      case 'pause':
        if (members.every((each) => !each.clock.isPaused)) pausedAt = simulation.clock.monotonic();
        member?.clock.pause();
        break;
      case 'resume':
        for (const each of members) each.clock.resume();
        break;
      case 'kill':
        simulation.kill(at);
        break;
      case 'replace':
        // A new replica alone cannot know those that an emptied store has forgotten.
        if (isCut) break;
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

describe('a simulated fleet with one fault', () => {
  const start = async () => {
    const simulation = new FleetSimulation({
      limit: { ratePerSecond: 3, burst: 3 },
      replicas: 3,
      callers: 4,
      random: seededRandom(7),
    });
    const [first, second, third] = simulation.members;
    await simulation.clock.advance(20_000);
    if (!first || !second || !third) throw new Error('three replicas are simulated');
    return { simulation, clock: simulation.clock, first, second, third };
  };

  it('a replica that alone loses the store sends nothing until the others leave its share to it', async () => {
    const { simulation, clock, first, second, third } = await start();
    const cutAt = clock.monotonic();
    first.isCut = true;
    await clock.advance(20_000);
    const sinceCut = (times: readonly number[]) => times.map((at) => at - cutAt).filter((at) => at > 50);
    const own = sinceCut(first.arrivals);
    // Its last heartbeat was at most half a second old.
    expect(Math.min(...own)).toBeGreaterThan(2_500);
    expect(Math.min(...own)).toBeLessThan(5_500);
    expect(own.length).toBeGreaterThan(13);
    for (const { rates } of [second, third]) expect(rates.at(-1)).toBeCloseTo(2, 9);
    const others = sinceCut([...second.arrivals, ...third.arrivals]).filter((at) => at > 3_000);
    expect(others.length).toBeLessThanOrEqual(2 * 17 + 2);
    const healedAt = clock.monotonic();
    first.isCut = false;
    await clock.advance(10_000);
    expect(simulation.arrivals.filter((at) => at > healedAt + 5_000)).toHaveLength(15);
    for (const { rates } of simulation.members) expect(rates.at(-1)).toBe(3);
  });

  it('a paused replica that continues learns of a missing one before it takes a turn', async () => {
    const { clock, first, second, third } = await start();
    first.clock.pause();
    await clock.advance(3_000);
    second.isCut = true;
    await clock.advance(4_000);
    const before = first.rates.length;
    first.clock.resume();
    await clock.advance(1_500);
    expect(first.rates.length).toBeGreaterThan(before);
    for (const rate of first.rates.slice(before)) expect(rate).toBeLessThan(2.1);
    expect(third.rates.at(-1)).toBeLessThan(2.1);
  });

  it('a replica that is killed costs its share for 30 seconds', async () => {
    const { simulation, clock } = await start();
    simulation.kill(0);
    await clock.advance(30_000);
    const during = simulation.arrivals.length;
    await clock.advance(5_000);
    const after = simulation.arrivals.length;
    await clock.advance(10_000);
    expect(simulation.arrivals.length - after).toBe(30);
    expect(during).toBeGreaterThan(3 * 20 + 2 * 25);
  });
});

describe('a simulated fleet under random faults', () => {
  it.each(
    [
      { ratePerSecond: 3, burst: 3, replicas: 3 },
      { ratePerSecond: 20, burst: 5, replicas: 3 },
      { ratePerSecond: 3, burst: 6, replicas: 6 },
    ].flatMap((fleet) => Array.from({ length: RUNS }, (_, seed) => ({ ...fleet, seed: seed + 1 }))),
  )(
    'the server of $replicas replicas receives at most $ratePerSecond/s and a burst of $burst, seed $seed',
    async ({ seed, ...fleet }) => {
      const { simulation, log } = await runUnderFaults(seed, fleet);
      const most = simulation.mostInOneSecond();
      expect(most, log.join('\n')).toBeLessThanOrEqual(fleet.ratePerSecond + fleet.burst);
      expect(simulation.arrivals.length).toBeGreaterThan(SECONDS / 8);
    },
    120_000,
  );
});
