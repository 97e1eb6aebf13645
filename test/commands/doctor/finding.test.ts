import { expect, it } from 'vitest';
import {
  durationText,
  failed,
  isUsable,
  ok,
  skipped,
  skippedFor,
  warning,
} from '../../../src/commands/doctor/finding.ts';

it.each([
  [0, '0 s'],
  [-90_000, '90 s'],
  [119_400, '119 s'],
  [52 * 60_000, '52 min'],
  [3 * 3_600_000, '3 h'],
  [80 * 86_400_000, '80 days'],
])('durationText formats %i ms as %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

it('isUsable accepts ok and warning; skippedFor names the failed check', () => {
  const findings = [ok('a', ''), warning('a', '', 'x'), failed('a', '', 'x'), skipped('a', '')];
  expect(findings.map(isUsable)).toEqual([true, true, false, false]);
  expect(skippedFor('b', failed('a', '', 'x'))).toEqual(skipped('b', 'needs a'));
});
