import { expect, it } from 'vitest';
import { PerProfile } from '../../../src/core/pipeline/per-profile.ts';

it('each profile has a value of its own, made on first use, and "" is a profile too', () => {
  const named: string[] = [];
  const ones = new PerProfile((profile) => {
    named.push(profile);
    return { profile };
  });
  expect(named).toEqual([]);
  const first = ones.of('');
  expect(ones.of('dev')).not.toBe(first);
  expect(ones.of('')).toBe(first);
  expect(named).toEqual(['', 'dev']);
  expect([...ones.all()]).toEqual([{ profile: '' }, { profile: 'dev' }]);
});
