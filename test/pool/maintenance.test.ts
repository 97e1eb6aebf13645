import { describe, expect, it } from 'vitest';
import { type PoolLimits, planSweep, sweepInterval } from '../../src/pool/maintenance.ts';
import { LIMITS } from './pool-rig.ts';

const NOW = 100_000;

/** Ages in milliseconds. */
const aged = (name: string, { age = 0, idle = 0, well = 0, uses = 0, due = false } = {}) => ({
  name,
  uses,
  openedAt: NOW - age,
  usedAt: NOW - idle,
  healthyAt: NOW - well,
  due,
});

function plan(members: readonly ReturnType<typeof aged>[], limits: Partial<PoolLimits>) {
  const { recycle, evict, probe } = planSweep(members, { ...LIMITS, max: 9, ...limits }, NOW);
  return {
    recycle: recycle?.name,
    evict: evict.map(({ name }) => name),
    probe: probe.map(({ name }) => name),
  };
}

describe('sweeps recycle', () => {
  const life = { lifetimeMs: 60_000, recycleWindowMs: 10_000 };

  it.each([
    [49_999, undefined],
    [50_000, 'a'],
    [90_000, 'a'],
  ])(
    'a sweep with a lifetime of 60 s and a window of 10 s at an age of %d ms recycles: %s',
    (age, recycle) => {
      expect(plan([aged('a', { age }), aged('b')], life).recycle).toBe(recycle);
    },
  );

  it('a sweep recycles one at a time, the oldest first, in use or not', () => {
    const members = [
      aged('a', { age: 60_000 }),
      aged('b', { age: 70_000, uses: 1 }),
      aged('c', { age: 55_000 }),
    ];
    expect(plan(members, life).recycle).toBe('b');
    expect(plan([...members, aged('d', { age: 80_000, due: true })], life).recycle).toBeUndefined();
  });

  it('a sweep recycles the only one if configured, and none without a lifetime', () => {
    const old = aged('a', { age: 90_000 });
    expect(plan([old], life).recycle).toBeUndefined();
    expect(plan([old], { ...life, recyclesOnly: true }).recycle).toBe('a');
    expect(plan([old, aged('b')], {}).recycle).toBeUndefined();
  });
});

describe('sweeps evict', () => {
  const idleMs = 1_000;
  const members = [aged('a', { idle: 1_000 }), aged('b', { idle: 3_000 }), aged('c', { idle: 2_000 })];

  it('a sweep evicts what was idle longest, down to the minimum and never the only one', () => {
    expect(plan(members, { idleMs }).evict).toEqual(['b', 'c']);
    expect(plan(members, { idleMs, min: 2 }).evict).toEqual(['b']);
    expect(plan(members, { idleMs, min: 3 }).evict).toEqual([]);
    expect(plan([aged('a', { idle: 9_000 })], { idleMs }).evict).toEqual([]);
    expect(plan(members, {}).evict).toEqual([]);
  });

  it('a sweep evicts nothing that is in use, recent or being replaced', () => {
    const kept = [
      aged('a', { idle: 9_000, uses: 1 }),
      aged('b', { idle: 999 }),
      aged('c', { idle: 9_000, due: true }),
    ];
    expect(plan(kept, { idleMs }).evict).toEqual([]);
  });
});

describe('sweeps probe', () => {
  const healthIntervalMs = 1_000;

  it('a sweep probes all that are idle and were not probed for the interval', () => {
    const members = [aged('a', { well: 1_000 }), aged('b', { well: 999 }), aged('c', { well: 9_000 })];
    expect(plan(members, { healthIntervalMs }).probe).toEqual(['a', 'c']);
    expect(plan([aged('a', { well: 9_000, uses: 1 }), aged('b')], { healthIntervalMs }).probe).toEqual([]);
    expect(plan(members, {}).probe).toEqual([]);
  });

  it('a sweep never probes the only one unless configured', () => {
    const only = [aged('a', { well: 9_000 })];
    expect(plan(only, { healthIntervalMs }).probe).toEqual([]);
    expect(plan(only, { healthIntervalMs, probesOnly: true }).probe).toEqual(['a']);
  });

  it('a sweep probes nothing that it recycles or evicts', () => {
    const members = [
      aged('a', { age: 90_000, well: 9_000, idle: 9_000 }),
      aged('b', { well: 9_000, idle: 9_000 }),
      aged('c', { well: 9_000 }),
    ];
    const limits = { healthIntervalMs, lifetimeMs: 60_000, idleMs: 5_000 };
    expect(plan(members, limits)).toEqual({ recycle: 'a', evict: ['b'], probe: ['c'] });
  });
});

it.each<[Partial<PoolLimits>, number | undefined]>([
  [{}, undefined],
  [{ max: 1, idleMs: 600_000 }, undefined],
  [{ idleMs: 600_000 }, 60_000],
  [{ idleMs: 600_000, healthIntervalMs: 60_000, lifetimeMs: 3_600_000, recycleWindowMs: 30_000 }, 15_000],
  [{ healthIntervalMs: 500 }, 1_000],
  [{ lifetimeMs: 20_000 }, 10_000],
])('a pool with %j sweeps every %s ms', (limits, every) => {
  expect(sweepInterval({ ...LIMITS, ...limits })).toBe(every);
});
