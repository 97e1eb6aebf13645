import { expect, it } from 'vitest';
import { numbered } from '../../src/commands/output-file.ts';
import { pollMs } from '../../src/commands/task.ts';

it.each<[interval: unknown, ms: number]>([
  [undefined, 1_000],
  ['7', 1_000],
  [0, 50],
  [-1, 50],
  [2_000, 2_000],
  [1e12, 300_000],
  [Number.NaN, 1_000],
])(
  'a task with the poll interval %j is polled every %i ms, in the spelling of either revision',
  (interval, ms) => {
    expect(pollMs({ pollInterval: interval })).toBe(ms);
    expect(pollMs({ pollIntervalMs: interval })).toBe(ms);
  },
);

it.each([
  ['a.png', 0, 'a.png'],
  ['a.png', 1, 'a-2.png'],
  ['/x/a.tar.gz', 2, '/x/a.tar-3.gz'],
  ['/a', 1, '/a-2'],
  ['./out', 1, './out-2'],
])('the output file %s has at position %i the name %s', (path, at, name) => {
  expect(numbered(path, at)).toBe(name);
});
