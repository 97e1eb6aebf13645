import { expect, it } from 'vitest';
import { inBatches } from '../../src/observe/line-batch.ts';
import { FakeClock } from '../support/fake-clock.ts';

function start() {
  const clock = new FakeClock();
  const did: string[] = [];
  const target = inBatches(
    {
      write: (text) => void did.push(text),
      flush: () => void did.push('flush'),
      reopen: () => void did.push('reopen'),
    },
    clock,
  );
  return { clock, did, target };
}

it('lines of 50 ms are one write, and the next line begins another', async () => {
  const { clock, did, target } = start();
  target.write('a\n');
  await clock.advance(49);
  target.write('b\n');
  expect(did).toEqual([]);
  await clock.advance(1);
  expect(did).toEqual(['a\nb\n']);
  target.write('c\n');
  await clock.advance(50);
  expect(did).toEqual(['a\nb\n', 'c\n']);
});

it('more than 64 Ki characters do not wait, and no line is written twice', async () => {
  const { clock, did, target } = start();
  const long = `${'x'.repeat(64 * 1024)}\n`;
  target.write('a\n');
  target.write(long);
  expect(did).toEqual([`a\n${long}`]);
  await clock.advance(50);
  expect(did).toHaveLength(1);
});

it('held lines are written before the file is opened again, and before the end', async () => {
  const { clock, did, target } = start();
  target.write('a\n');
  target.reopen?.();
  target.write('b\n');
  target.flush?.();
  await clock.advance(50);
  expect(did).toEqual(['a\n', 'reopen', 'b\n', 'flush']);
});
