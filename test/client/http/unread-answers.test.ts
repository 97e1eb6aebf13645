import { expect, it } from 'vitest';
import { UnreadAnswers } from '../../../src/client/http/unread-answers.ts';

const MIB = 1_024 * 1_024;

function holder() {
  const unread = new UnreadAnswers();
  const cut: string[] = [];
  return { cut, hold: (name: string, mib: number) => unread.hold(mib * MIB, () => cut.push(name)) };
}

it('what waits for its clients has a bound, and those who have had theirs the longest are cut for it', () => {
  const { cut, hold } = holder();
  hold('first', 64);
  hold('second', 64);
  expect(cut).toEqual([]);
  hold('third', 1);
  expect(cut).toEqual(['first']);
  hold('fourth', 128);
  expect(cut).toEqual(['first', 'second', 'third']);
});

it('what was taken counts no more, and is given back once', () => {
  const { cut, hold } = holder();
  const release = hold('first', 100);
  release();
  release();
  hold('second', 100);
  hold('third', 28);
  expect(cut).toEqual([]);
  hold('fourth', 1);
  expect(cut).toEqual(['second']);
});

it('one alone may be as long as it likes', () => {
  const { cut, hold } = holder();
  hold('long', 500);
  expect(cut).toEqual([]);
});
