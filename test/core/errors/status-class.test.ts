import { expect, it } from 'vitest';
import {
  asksForPause,
  isTemporary,
  mayHaveRunWith,
  type StatusClass,
  statusClassOf,
} from '../../../src/core/errors/status-class.ts';

it.each<[number, StatusClass]>([
  [0, 'final'],
  [200, 'final'],
  [307, 'final'],
  [400, 'final'],
  [401, 'final'],
  [403, 'final'],
  [404, 'final'],
  [408, 'unavailable'],
  [413, 'final'],
  [424, 'final'],
  [429, 'throttled'],
  [499, 'final'],
  [500, 'broken'],
  [501, 'unspecified'],
  [502, 'unavailable'],
  [503, 'unavailable'],
  [504, 'unavailable'],
  [505, 'unspecified'],
  [520, 'unspecified'],
  [599, 'unspecified'],
])('HTTP %i is %s', (status, kind) => {
  expect(statusClassOf(status)).toBe(kind);
  expect(isTemporary(status)).toBe(kind !== 'final');
  expect(mayHaveRunWith(status)).toBe(kind !== 'final' && kind !== 'throttled');
});

it('only 429 and 503 ask for a pause of all requests', () => {
  const asking = Array.from({ length: 600 }, (_, status) => status).filter(asksForPause);
  expect(asking).toEqual([429, 503]);
});
