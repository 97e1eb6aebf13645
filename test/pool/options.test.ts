import { describe, expect, it } from 'vitest';
import { type PoolValues, poolLimits, poolOptions, poolProblems } from '../../src/pool/options.ts';

const DEFAULTS = Object.fromEntries(
  Object.entries(poolOptions).map(([key, { fallback }]) => [key, fallback]),
) as unknown as PoolValues;

const withValues = (values: Partial<PoolValues>): PoolValues => ({ ...DEFAULTS, ...values });

describe('the session options together', () => {
  it.each<[Partial<PoolValues>, Record<string, string>, string[]]>([
    [{}, {}, []],
    [{ minSessions: 3, maxSessions: 3 }, {}, []],
    [
      { minSessions: 2 },
      { minSessions: '--min-sessions' },
      ['--min-sessions must be <= --max-sessions (1), not 2'],
    ],
    [
      { minSessions: 5, maxSessions: 4 },
      { minSessions: 'MCP_PROXY_MIN_SESSIONS', maxSessions: '--max-sessions' },
      ['MCP_PROXY_MIN_SESSIONS must be <= --max-sessions (4), not 5'],
    ],
    [
      { minSessions: 3, maxSessions: 4, maxTotalSessions: 2 },
      {},
      ['--max-total-sessions must be >= --min-sessions (3), not 2'],
    ],
    [
      { sessionLifetime: 30, sessionRecycleWindow: 30 },
      {},
      ['--session-recycle-window must be < --session-lifetime (30), not 30'],
    ],
    [
      { maxSessions: 2, sessionRecycleWindow: 4_000 },
      {},
      ['--session-recycle-window must be < --session-lifetime (3600), not 4000'],
    ],
    [{ sessionLifetime: 0, sessionRecycleWindow: 4_000 }, {}, []],
    [{ sessionLifetime: 20 }, {}, []],
    [
      { minSessions: 2, sessionLifetime: 1, sessionRecycleWindow: 2 },
      {},
      [
        '--min-sessions must be <= --max-sessions (1), not 2',
        '--session-recycle-window must be < --session-lifetime (1), not 2',
      ],
    ],
  ])('the session options report %j, given %j', (values, given, problems) => {
    expect(poolProblems(withValues(values), given)).toEqual(problems);
  });
});

describe('the limits of a pool', () => {
  it.each<Partial<PoolValues>>([
    {},
    { sessionIdle: 1 },
    { sessionLifetime: 0, healthInterval: 0 },
    { sessionWait: 0 },
  ])('the limits of a pool are one session and no timer by default: %j', (values) => {
    expect(poolLimits(withValues(values))).toMatchObject({
      max: 1,
      callsPerItem: Number.POSITIVE_INFINITY,
      lifetimeMs: 0,
      healthIntervalMs: 0,
      keepsOpen: false,
    });
  });

  it('a pool of several sessions has one call each, an hour of life and a sweep every minute', () => {
    expect(poolLimits(withValues({ maxSessions: 4 }))).toEqual({
      min: 0,
      max: 4,
      callsPerItem: 1,
      waitMs: 10_000,
      lifetimeMs: 3_600_000,
      recycleWindowMs: 30_000,
      recyclesOnly: false,
      idleMs: 600_000,
      healthIntervalMs: 60_000,
      healthMethods: ['ping', 'tools/list', 'skip'],
      healthTimeoutMs: 5_000,
      probesOnly: false,
      keepsOne: true,
      keepsOpen: true,
    });
  });

  it.each<[Partial<PoolValues>, object]>([
    [{ minSessions: 1 }, { min: 1, max: 1, callsPerItem: Number.POSITIVE_INFINITY, lifetimeMs: 3_600_000 }],
    [{ callsPerSession: 3 }, { max: 1, callsPerItem: 3, lifetimeMs: 0, healthIntervalMs: 0 }],
    [
      { sessionLifetime: 20 },
      { lifetimeMs: 20_000, recycleWindowMs: 10_000, recyclesOnly: true, probesOnly: false },
    ],
    [
      { healthInterval: 7 },
      { healthIntervalMs: 7_000, probesOnly: true, recyclesOnly: false, lifetimeMs: 0 },
    ],
    [
      { maxSessions: 2, sessionLifetime: 0, healthInterval: 0 },
      { lifetimeMs: 0, healthIntervalMs: 0 },
    ],
    [{ maxSessions: 2, healthCheck: ['skip'] }, { healthMethods: ['skip'] }],
    [{ maxSessions: 2, callsPerSession: 5 }, { callsPerItem: 5 }],
  ])('the limits of a pool follow %j', (values, limits) => {
    expect(poolLimits(withValues(values))).toMatchObject(limits);
  });

  it.each<[Partial<PoolValues>, object]>([
    [{}, { max: 1, callsPerItem: Number.POSITIVE_INFINITY, lifetimeMs: 3_540_000, recyclesOnly: true }],
    [{}, { recycleWindowMs: 300_000, healthIntervalMs: 0 }],
    [{ maxSessions: 2 }, { lifetimeMs: 3_540_000, recyclesOnly: true }],
    [{ sessionLifetime: 900 }, { lifetimeMs: 900_000, recycleWindowMs: 300_000 }],
    [{ sessionRecycleWindow: 10 }, { recycleWindowMs: 10_000 }],
    [{ sessionLifetime: 0 }, { lifetimeMs: 0, keepsOpen: false }],
  ])('the limits of a pool follow the lifetime that the server gives a session, and %j', (values, limits) => {
    expect(poolLimits(withValues(values), 3_540)).toMatchObject(limits);
  });

  it('the recycle window of a pool is shorter than the lifetime that the server gives a session', () => {
    const values = withValues({ sessionRecycleWindow: 3_540 });
    expect(poolProblems(values, {}, 3_540)).toEqual([
      '--session-recycle-window must be < --session-lifetime (3540), not 3540',
    ]);
  });
});
