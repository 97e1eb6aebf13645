import { describe, expect, it } from 'vitest';
import { connectedLeases, connectedLimit, turnFrom } from '../../src/limits/local-share.ts';
import { type ReplicaHeartbeat, ReplicaTable } from '../../src/limits/replica-table.ts';

const SECOND = 1_000_000;

const BEAT: ReplicaHeartbeat = {
  ttlUs: 1.5 * SECOND,
  expiresAt: 0,
  minReplicas: 1,
  expected: 1,
  expectedForUs: 5 * SECOND,
  usedShareOf: 0,
};

/** A table that was not emptied a moment ago, with three replicas that have seen each other. */
function setUp() {
  const table = new ReplicaTable(-60 * SECOND);
  const beat = (replica: string, seconds: number, own: Partial<ReplicaHeartbeat> = {}) =>
    table.beat(replica, { ...BEAT, ...own }, seconds * SECOND);
  for (const seconds of [0, 0.5]) for (const replica of ['a', 'b', 'c']) beat(replica, seconds);
  return { table, beat };
}

describe('the replicas that share a limit', () => {
  it('three replicas have a third each, and different ranks', () => {
    const { beat } = setUp();
    const views = ['a', 'b', 'c'].map((replica) => beat(replica, 1));
    expect(views.map(({ replicas, missing }) => [replicas, missing])).toEqual([
      [3, 0],
      [3, 0],
      [3, 0],
    ]);
    expect(new Set(views.map(({ rank }) => rank)).size).toBe(3);
  });

  it('the share of a replica without a heartbeat is reserved after its lifetime, and for 30 seconds', () => {
    const { beat } = setUp();
    const missingAt = (seconds: number) => {
      beat('a', seconds);
      const { missing, missingShare, replicas } = beat('b', seconds);
      return [missing, Math.round(missingShare * 3), replicas];
    };
    expect([1.9, 2, 31.9].map(missingAt)).toEqual([
      [0, 0, 3],
      [1, 1, 3],
      [1, 1, 3],
    ]);
    expect(missingAt(32)).toEqual([0, 0, 2]);
  });

  it('a replica that joins while another is missing takes nothing of its share', () => {
    const { beat } = setUp();
    for (const seconds of [3, 3.5]) for (const replica of ['a', 'b', 'd']) beat(replica, seconds);
    // Three share two thirds.
    expect(beat('d', 4)).toMatchObject({ replicas: 5, alive: 3, missing: 1 });
  });

  it('a replica that leaves returns its share at once, and so does one that is known to have ended', () => {
    const { table, beat } = setUp();
    beat('c', 1, { ttlUs: 0 });
    table.remove('b');
    expect(beat('a', 3)).toMatchObject({ replicas: 1, alive: 1, missing: 0 });
  });

  it('the share that a returning replica has used until now is reserved for another 1.25 seconds', () => {
    const { beat } = setUp();
    const missingAt = (seconds: number) => {
      beat('b', seconds);
      return beat('a', seconds).missing;
    };
    expect(missingAt(5)).toBe(1);
    beat('c', 5.1, { usedShareOf: 3 });
    expect(missingAt(6.3)).toBe(1);
    beat('c', 6.3);
    expect(missingAt(6.35)).toBe(0);
    expect(beat('a', 6.35).replicas).toBe(3);
  });

  it('a heartbeat that arrives late does not extend the lifetime beyond what its sender knows', () => {
    const { beat } = setUp();
    expect(beat('c', 9, { expiresAt: 2 * SECOND }).alive).toBe(0);
    expect(beat('a', 9)).toMatchObject({ alive: 1, missing: 2 });
  });

  it.each([
    ['was connected before', 30, 25, 2],
    ['was connected before', 30, 31, 0],
    ['is new', 5, 4, 2],
    ['is new', 5, 6, 0],
  ])(
    'after the store was emptied, a replica that %s expects the others for %s seconds (at %s: %s)',
    (_which, seconds, at, missing) => {
      const table = new ReplicaTable();
      const own = { ...BEAT, minReplicas: 3, expected: 3, expectedForUs: seconds * SECOND };
      expect(table.beat('a', own, 0)).toMatchObject({ missing: 2, replicas: 3 });
      expect(table.beat('a', own, at * SECOND).missing).toBe(missing);
    },
  );
});

describe('the parts of a limit while replicas are missing', () => {
  const limit = { ratePerSecond: 3, burst: 3 };
  const third = 1 / 3;

  it.each([
    [0, 0, 3, 3],
    [1, third, 2, 2],
    [2, 2 * third, 1, 1],
    // At most three quarters are left to the missing ones.
    [9, 1, 0.75, 2],
  ])(
    'with %s missing of share %s, connected replicas have %s/s and a burst of %s',
    (missing, share, rate, burst) => {
      const part = connectedLimit(limit, { missing, missingShare: share });
      expect(part.ratePerSecond).toBeCloseTo(rate, 9);
      expect(part.burst).toBeCloseTo(burst, 9);
    },
  );

  it.each([
    [0, 0, 9],
    [1, third, 6],
    [2, 2 * third, 3],
    [8, 0.1, 1],
    [12, 1, 1],
  ])('with %s missing of share %s, connected replicas run %s of 9 calls', (missing, missingShare, leases) => {
    expect(connectedLeases(9, { missing, missingShare })).toBe(leases);
  });

  it('the local turns of all replicas interleave at the interval of the rate', () => {
    const turns = [0, 1, 2].flatMap((rank) => {
      const own = { period: 1_000, phase: (rank * 1_000) / 3 - 7_777 };
      const first = turnFrom(100, own);
      return [first, turnFrom(first + 1, own)];
    });
    turns.sort((one, other) => one - other);
    const gaps = turns.slice(1).map((at, index) => Math.round(at - (turns[index] ?? 0)));
    expect(gaps).toEqual([333, 333, 333, 333, 333]);
    expect(turns[0]).toBeGreaterThanOrEqual(100);
  });
});
