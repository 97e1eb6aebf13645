import { describe, expect, it } from 'vitest';
import { FairQueue, type Share } from '../../../src/core/pipeline/fair-queue.ts';
import type { Removable } from '../../../src/core/time/chain.ts';
import { fc } from '../../support/property.ts';

interface Item {
  readonly name: string;
}

function filled(entries: readonly (readonly [group: string, member: string, name: string])[]) {
  const queue = new FairQueue<Item, Share | undefined>((share) => share);
  const removers = new Map<string, Removable>();
  for (const [group, member, name] of entries) removers.set(name, queue.add({ name }, { group, member }));
  const rest = (): string[] => {
    const names: string[] = [];
    for (let next = queue.shift(); next; next = queue.shift()) names.push(next.name);
    return names;
  };
  return { queue, removers, rest };
}

describe('a fair queue', () => {
  it('a fair queue without shares is first come, first served', () => {
    const queue = new FairQueue<Item, Share | undefined>((share) => share);
    for (const name of ['0', '', '-1']) queue.add({ name }, undefined);
    expect([queue.shift(), queue.shift(), queue.shift(), queue.shift()]).toEqual([
      { name: '0' },
      { name: '' },
      { name: '-1' },
      undefined,
    ]);
  });

  it('a fair queue lets groups take turns, and in each group its members', () => {
    const { rest } = filled([
      ['a', 's', 'a-s-1'],
      ['a', 's', 'a-s-2'],
      ['a', 's', 'a-s-3'],
      ['a', 't', 'a-t-1'],
      ['b', '', 'b-1'],
      ['b', '', 'b-2'],
    ]);
    expect(rest()).toEqual(['a-s-1', 'b-1', 'a-t-1', 'b-2', 'a-s-2', 'a-s-3']);
  });

  it('a fair queue gives a caller with many sessions no more turns than one with a single session', () => {
    const many = Array.from({ length: 100 }, (_none, index) => ['many', `s${index}`, `m${index}`] as const);
    const { rest } = filled([...many, ['one', '', 'x'], ['one', '', 'y']]);
    expect(rest().slice(0, 4)).toEqual(['m0', 'x', 'm1', 'y']);
  });

  it('a fair queue forgets a removed member, once', () => {
    const { queue, removers, rest } = filled([
      ['a', '', '1'],
      ['a', '', '2'],
      ['b', '', '3'],
    ]);
    removers.get('1')?.remove();
    removers.get('1')?.remove();
    expect(queue.size).toBe(2);
    expect(queue.values().map(({ name }) => name)).toEqual(['2', '3']);
    expect(rest()).toEqual(['2', '3']);
    removers.get('2')?.remove();
    expect(queue.size).toBe(0);
  });

  it('a fair queue names all values in the order of their turns', () => {
    const { queue, rest } = filled([
      ['a', 's', '1'],
      ['a', 's', '2'],
      ['a', 't', '3'],
      ['b', '', '4'],
      ['c', '', '5'],
      ['c', '', '6'],
    ]);
    const names = queue.values().map(({ name }) => name);
    expect(names).toEqual(['1', '4', '5', '3', '6', '2']);
    expect(rest()).toEqual(names);
  });

  it.each([
    ['a', 's', 3],
    ['a', 't', 2],
    ['b', '', 3],
    ['new', '', 2],
    ['b', 'new', 3],
  ])('a fair queue predicts the turns before the next value of %s/%s: %i', (group, member, expected) => {
    const entries = [
      ['a', 's', '1'],
      ['a', 's', '2'],
      ['b', '', '3'],
    ] as const;
    expect(filled(entries).queue.turnsBefore({ group, member })).toBe(expected);
    const { queue, rest } = filled(entries);
    queue.add({ name: 'next' }, { group, member });
    // No more come before it than were foreseen.
    expect(rest().indexOf('next')).toBeLessThanOrEqual(expected);
  });

  it.each([
    ['a group with fewer takes the place of the newest of the largest one', 'b', '', 'a-t-3'],
    ['a member with fewer takes the place of the largest in its group', 'a', 's', 'a-t-3'],
    ['the largest displaces nothing', 'a', 't', undefined],
    ['a new group takes a place', 'new', '', 'a-t-3'],
  ])('a full fair queue: %s', (_what, group, member, expected) => {
    const { queue } = filled([
      ['a', 's', 'a-s-1'],
      ['a', 't', 'a-t-1'],
      ['a', 't', 'a-t-2'],
      ['b', '', 'b-1'],
      ['a', 't', 'a-t-3'],
    ]);
    const { name } = queue.displaceFor({ group, member }) ?? {};
    expect(name).toBe(expected);
    expect(queue.size).toBe(expected === undefined ? 5 : 4);
  });

  it('a full fair queue displaces nothing among callers with as many, and counts those without a share', () => {
    const { queue } = filled([
      ['a', '', '1'],
      ['b', '', '2'],
    ]);
    expect(queue.displaceFor({ group: 'a', member: '' })).toBeUndefined();
    expect(queue.displaceFor({ group: 'c', member: '' })).toBeUndefined();
    for (const name of ['x', 'y', 'z']) queue.add({ name }, undefined);
    expect(queue.displaceFor({ group: 'a', member: '' })).toEqual({ name: 'z' });
    expect(queue.displaceFor(undefined)).toBeUndefined();
  });

  it('a fair queue loses nothing, repeats nothing, and keeps the order of each member', () => {
    const step = fc.oneof(
      fc.record({ group: fc.constantFrom('a', 'b', 'c'), member: fc.constantFrom('', 's', 't') }),
      fc.constant('shift' as const),
      fc.nat(20).map((remove) => ({ remove })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new FairQueue<{ key: string; at: number }, Share | undefined>((share) => share);
        const model: { key: string; at: number; link: Removable }[] = [];
        let at = 0;
        for (const each of steps) {
          if (each === 'shift') {
            const taken = queue.shift();
            const index = model.findIndex((item) => item.key === taken?.key);
            expect(model[index]?.at).toBe(taken?.at);
            if (index >= 0) model.splice(index, 1);
            else expect(model).toEqual([]);
          } else if ('remove' in each) {
            const [removed] = model.splice(each.remove, 1);
            removed?.link.remove();
          } else {
            const item = { key: `${each.group} ${each.member}`, at: at++ };
            model.push({ ...item, link: queue.add(item, each) });
          }
          expect(queue.size).toBe(model.length);
        }
      }),
    );
  });
});
