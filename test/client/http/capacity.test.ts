import { describe, expect, it } from 'vitest';
import { Capacity } from '../../../src/client/http/capacity.ts';

const from = (group: string, member = '') => ({ group, member });

/** Takes places until one is refused. @returns how many were taken, and why the next one was not. */
function fill(capacity: Capacity, group: string, memberOf: (n: number) => string = () => '', options = {}) {
  for (let taken = 0; ; taken++) {
    const share = from(group, memberOf(taken));
    const shortage = capacity.shortage(share, options);
    if (shortage !== undefined) return { taken, shortage };
    capacity.take(share);
  }
}

describe('the places of a listener', () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 3],
    [100, 75],
    [1_024, 768],
  ])('the places of a listener of %i leave one session at most %i', (max, taken) => {
    expect(fill(new Capacity(max), 'a', undefined, { soleGroup: true })).toMatchObject({ taken });
  });

  it('the places of a listener leave room for another token, whatever sessions the first one invents', () => {
    const capacity = new Capacity(100);
    expect(fill(capacity, 'a', String)).toEqual({ taken: 75, shortage: 'group' });
    expect(fill(capacity, 'b')).toEqual({ taken: 19, shortage: 'group' });
    expect(capacity.shortage(from('c'))).toBeUndefined();
  });

  it('the places of a listener leave room for another session of the same token', () => {
    const capacity = new Capacity(100);
    expect(fill(capacity, 'a', () => 'x', { soleGroup: true })).toEqual({ taken: 75, shortage: 'member' });
    expect(capacity.shortage(from('a', 'y'), { soleGroup: true })).toBeUndefined();
  });

  it('the places of a listener can all be taken by one group of several sessions', () => {
    const capacity = new Capacity(100);
    expect(fill(capacity, 'a', String, { soleGroup: true })).toEqual({ taken: 100, shortage: 'everyone' });
  });

  it('the places of a listener are free again once returned', () => {
    const capacity = new Capacity(1);
    const giveBack = capacity.take(from('a'));
    expect(capacity.shortage(from('b'))).toBe('everyone');
    giveBack();
    expect(capacity.shortage(from('a'))).toBeUndefined();
  });

  it('the places of a listener are counted for several requests at once', () => {
    const capacity = new Capacity(4);
    expect(capacity.shortage(from('a'), { wanted: 4, soleGroup: true })).toBe('member');
    expect(capacity.shortage(from('a'), { wanted: 3, soleGroup: true })).toBeUndefined();
    expect(capacity.shortage(from('a'), { wanted: 5, soleGroup: true })).toBe('everyone');
  });
});
