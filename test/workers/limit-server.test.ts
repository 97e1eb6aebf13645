import { describe, expect, it } from 'vitest';
import type { EnterLeases } from '../../src/limits/store.ts';
import { LimitServer } from '../../src/workers/limit-server.ts';
import { FakeClock } from '../support/fake-clock.ts';

const KEY = 'profile:';

function setUp() {
  const clock = new FakeClock();
  const free: string[] = [];
  const server = new LimitServer(clock, (worker) => free.push(worker));
  const enter = (worker: string, leases: readonly string[], own: Partial<EnterLeases> = {}): unknown =>
    server.run(worker, 'enter', [
      KEY,
      { limit: 2, leaseUs: 15_000_000, patienceUs: 1_500_000, more: false, leases, ...own },
    ]);
  const release = (worker: string, ...leases: string[]) => server.run(worker, 'release', [KEY, leases]);
  return { clock, free, server, enter, release };
}

describe('the leases that workers share', () => {
  it('the leases of both workers together never exceed the limit', () => {
    const { enter, release } = setUp();
    expect([enter('0', ['a', 'b', 'c']), enter('1', ['d'])]).toEqual([2, 0]);
    release('0', 'a');
    expect([enter('0', ['e']), enter('1', ['f'])]).toEqual([1, 0]);
  });

  it('a free lease goes to the worker that waits longest, and the other one keeps waiting', () => {
    const { enter, release, free } = setUp();
    enter('0', ['a', 'b']);
    enter('1', ['c']);
    enter('0', ['d']);
    release('0', 'a');
    expect(free).toEqual(['1']);
    expect([enter('0', ['e']), enter('1', ['f'])]).toEqual([0, 1]);
    release('0', 'b');
    expect(free).toEqual(['1', '0']);
  });

  it('the leases of a worker that died expire after 15 seconds, and its turn ends at once', async () => {
    const { enter, server, clock, release, free } = setUp();
    enter('0', ['a', 'b']);
    enter('0', ['c']);
    server.forget('0');
    expect(enter('1', ['d'])).toBe(0);
    server.run('0', 'renew', [KEY, 15_000_000, ['b']]);
    release('0', 'a');
    expect(free).toEqual(['1']);
    expect(enter('1', ['e'])).toBe(1);
    await clock.advance(15_000);
    expect(enter('1', ['f', 'g'])).toBe(2);
  });

  it('a worker that does not wait has no turn before others', () => {
    const { enter, release } = setUp();
    enter('0', ['a', 'b']);
    enter('1', ['c'], { patienceUs: 0 });
    release('0', 'a');
    expect(enter('0', ['d'])).toBe(1);
  });
});

describe('the rate that workers share', () => {
  const limit = { ratePerSecond: 10, burst: 3 };
  const take = { name: 'take', count: 32, maxWaitUs: 30_000_000 };

  it('the rate begins with a whole burst, which both workers share', async () => {
    const { server, clock } = setUp();
    expect(server.run('0', 'rate', [KEY, limit, { ...take, count: 2 }])).toMatchObject({ granted: 2 });
    expect(server.run('1', 'rate', [KEY, limit, take])).toMatchObject({ granted: 1 });
    expect(server.run('1', 'rate', [KEY, limit, take])).toMatchObject({ granted: 0, waitUs: 100_000 });
    await clock.advance(200);
    expect(server.run('0', 'rate', [KEY, limit, take])).toMatchObject({ granted: 1 });
  });

  it('the limit server removes only buckets that are full', async () => {
    const { server, clock } = setUp();
    for (let at = 0; at < 2_000; at++) server.run('0', 'rate', [`tool:${at}`, limit, take]);
    await clock.advance(1_000);
    server.run('0', 'rate', ['tool:0', limit, take]);
    server.run('0', 'rate', ['tool:new', limit, take]);
    expect(server.run('0', 'rate', ['tool:0', limit, take])).toMatchObject({ granted: 0 });
    expect(server.run('0', 'rate', ['tool:1', limit, take])).toMatchObject({ granted: 3 });
  });
});
