import { expect, it } from 'vitest';
import { UnreadAnswers } from '../../../src/client/http/unread-answers.ts';

const MIB = 1_024 * 1_024;

function holder() {
  const unread = new UnreadAnswers();
  const cut: string[] = [];
  return { cut, hold: (name: string, mib: number) => unread.hold(mib * MIB, () => cut.push(name)) };
}

it('unread answers have a bound in bytes, and the oldest are cut for it', () => {
  const { cut, hold } = holder();
  hold('first', 64);
  hold('second', 64);
  expect(cut).toEqual([]);
  hold('third', 1);
  expect(cut).toEqual(['first']);
  hold('fourth', 128);
  expect(cut).toEqual(['first', 'second', 'third']);
});

it('a read answer no longer counts, and its bytes are returned once', () => {
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

it('a single unread answer may have any length', () => {
  const { cut, hold } = holder();
  hold('long', 500);
  expect(cut).toEqual([]);
});
