import { expect, it } from 'vitest';
import { Chain } from '../../../src/core/time/chain.ts';

const chainOf = (...names: readonly string[]) => {
  const chain = new Chain<{ name: string }>();
  const links = names.map((name) => chain.push({ name }));
  return { chain, links };
};

it('a chain shifts the oldest value first, however many were removed between', () => {
  const { chain, links } = chainOf('a', 'b', 'c', 'd');
  const removed = links[1];
  expect(removed && [chain.remove(removed), chain.remove(removed)]).toEqual([true, false]);
  expect([chain.shift(), chain.shift(), chain.shift(), chain.shift()]).toEqual([
    { name: 'a' },
    { name: 'c' },
    { name: 'd' },
    undefined,
  ]);
  expect(chain.size).toBe(0);
});

it('a chain pops the newest value, also after others at both ends were removed', () => {
  const { chain, links } = chainOf('0', '', '-1', '1');
  links[3]?.remove();
  links[0]?.remove();
  links[0]?.remove();
  expect([chain.size, chain.last?.value]).toEqual([2, { name: '-1' }]);
  expect([chain.pop(), chain.pop(), chain.pop()]).toEqual([{ name: '-1' }, { name: '' }, undefined]);
});

it('a chain keeps its values while a copy of them is iterated and removed', () => {
  const { chain, links } = chainOf('a', 'b', 'c');
  const seen: string[] = [];
  for (const { name } of chain.values()) {
    seen.push(name);
    for (const link of links) link.remove();
  }
  expect([seen, chain.size]).toEqual([['a', 'b', 'c'], 0]);
});
