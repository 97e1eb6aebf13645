import { describe, expect, it } from 'vitest';
import {
  hasRecentHints,
  type KeptList,
  type ListMoment,
  type ListVersion,
  mayStandIn,
  type StaleReason,
  staleReason,
} from '../../../src/core/tools/list-version.ts';

const VERSION: ListVersion = { generation: 0, identity: 0, listing: 1, fingerprint: 'f', watch: undefined };

interface Case {
  readonly kept?: Partial<ListVersion>;
  readonly now?: Partial<ListVersion>;
  readonly ageMs?: number;
  readonly serverTtlMs?: number;
  readonly optionTtlMs?: number;
  readonly inDoubt?: boolean;
}

function judge({ kept, now, ageMs = 0, serverTtlMs, optionTtlMs, inDoubt = false }: Case) {
  const list: KeptList = { version: { ...VERSION, ...kept }, at: -5, ttlMs: serverTtlMs };
  const moment: ListMoment = {
    version: { ...VERSION, ...now },
    now: ageMs - 5,
    ttlMs: optionTtlMs,
    isIdentityInDoubt: () => inDoubt,
  };
  return staleReason(list, moment);
}

describe('a kept list', () => {
  it.each<[string, Case, StaleReason | undefined]>([
    ['without any ttl', {}, 'expired'],
    ['within the ttl of the option', { optionTtlMs: 10, ageMs: 9 }, undefined],
    ['at the end of the ttl of the option', { optionTtlMs: 10, ageMs: 10 }, 'expired'],
    ['with an option of 0, whatever the server allows', { optionTtlMs: 0, serverTtlMs: 100 }, 'expired'],
    ['within the ttl of the server', { serverTtlMs: 10, ageMs: 9 }, undefined],
    ['past the ttl of the server', { serverTtlMs: 10, ageMs: 11 }, 'expired'],
    ['whose server forbids to keep it', { serverTtlMs: 0, kept: { watch: 1 }, now: { watch: 1 } }, 'expired'],
    ['that is watched without a gap', { kept: { watch: 1 }, now: { watch: 1 }, ageMs: 299_999 }, undefined],
    ['that was watched for 300 s', { kept: { watch: 1 }, now: { watch: 1 }, ageMs: 300_000 }, 'expired'],
    ['whose watch had a gap', { kept: { watch: 1 }, now: { watch: 2 } }, 'expired'],
    ['whose watch has ended', { kept: { watch: 1 } }, 'expired'],
    ['that is watched only since it was received', { now: { watch: 1 } }, 'expired'],
    ['of an earlier generation', { now: { generation: 1 }, optionTtlMs: 10 }, 'invalidated'],
    ['of another identity', { now: { identity: 1, generation: 1 }, optionTtlMs: 10 }, 'other-identity'],
    ['of an earlier listing', { now: { listing: 2 }, optionTtlMs: 10 }, 'earlier-listing'],
    ['where another list was seen', { now: { fingerprint: '' }, optionTtlMs: 10 }, 'seen-to-differ'],
    ['where another identity may sign next', { inDoubt: true, optionTtlMs: 10 }, 'identity-in-doubt'],
  ])('a kept list is current or not: %s', (_what, which, reason) => {
    expect(judge(which)).toBe(reason);
  });

  it('a kept list is current whatever object holds its version, because copies are equal', () => {
    const version = structuredClone(VERSION);
    const kept: KeptList = { version: { ...VERSION }, at: 0, ttlMs: 1 };
    const moment = { version, now: 0, ttlMs: undefined, isIdentityInDoubt: () => false };
    expect(staleReason(structuredClone(kept), moment)).toBeUndefined();
  });

  it('a kept list needs the identity only if nothing else speaks against it', () => {
    const fail = (): never => {
      throw new Error('files were read');
    };
    const kept: KeptList = { version: VERSION, at: 0, ttlMs: 1 };
    const moment = { version: VERSION, now: 1, ttlMs: undefined, isIdentityInDoubt: fail };
    expect(staleReason(kept, moment)).toBe('expired');
  });

  it("a kept list replaces a failing server's only for the identity that received it", () => {
    expect(mayStandIn(VERSION, { generation: 7, identity: 0 })).toBe(true);
    expect(mayStandIn(VERSION, { generation: 0, identity: 1 })).toBe(false);
  });
});

it.each([
  [undefined, 0, false],
  [0, 60_000, true],
  [0, 60_001, false],
  [-60_000, 0, true],
])('hints of a list that was requested at %s may be relied on at %i: %s', (listedAt, now, expected) => {
  expect(hasRecentHints(listedAt, now)).toBe(expected);
});
