import { describe, expect, it } from 'vitest';
import { isExpired, mayReuse } from '../../../src/upstream/http/reuse.ts';

const rest = { openedAt: 1_000, idleSince: 5_000, idleSinceWall: 1_000_000 };
const limits = { lifetimeMs: 0, keepAliveTimeoutMs: 30_000 };
const later = (ms: number, wallMs = ms) => ({ monotonic: 5_000 + ms, wall: 1_000_000 + wallMs });

describe('an idle connection', () => {
  it.each<[string, ReturnType<typeof later>, Partial<typeof limits>, boolean]>([
    ['is used again after a moment', later(10), {}, true],
    ['is used again up to the keep-alive timeout', later(30_000), {}, true],
    ['is not used when its timer is late', later(30_001), {}, false],
    ['is not used after the machine slept for a minute', later(10, 60_010), {}, false],
    ['is not used after the wall clock was set back', later(10, -60_000), {}, false],
    ['is used again after a small correction of the clock', later(10, 2_000), {}, true],
    ['is not used beyond its lifetime', later(6_000), { lifetimeMs: 10_000 }, false],
    ['is used again within its lifetime', later(5_999), { lifetimeMs: 10_000 }, true],
  ])('an idle connection %s', (_what, now, changes, expected) => {
    expect(mayReuse(rest, now, { ...limits, ...changes })).toBe(expected);
  });

  it.each([
    [2_000, 2_000, true],
    [2_001, 2_000, false],
    [30_001, 60_000, false],
    [0, 0, true],
  ])('an idle connection of %i ms serves a request that allows %i ms: %s', (idleMs, maxIdleMs, expected) => {
    expect(mayReuse(rest, later(idleMs), limits, maxIdleMs)).toBe(expected);
  });

  it('an idle connection has no end if the lifetime is 0', () => {
    expect(isExpired(0, Number.MAX_SAFE_INTEGER, limits)).toBe(false);
  });
});
