import { expect, it } from 'vitest';
import { KeyedLimiters, limitKeyOf } from '../../src/limits/keyed-limiters.ts';
import { LIMIT_KEYS, type LimitKey } from '../../src/limits/options.ts';
import { makeToolCall } from '../support/make-call.ts';

const depsOf = (limitKey: LimitKey, account: string | undefined = '111122223333') => ({
  limitKey,
  isTool: (name: string) => name === 'known',
  knownAccount: () => account,
  accountOf: async () => undefined,
});

it.each([
  ['profile', 'known', 'profile:dev'],
  ['identity', 'known', 'identity:'],
  ['tool', 'known', 'tool:dev:known'],
  ['tool', 'invented', 'tool:dev:'],
  ['account', 'known', 'account:111122223333'],
] as const)(
  'with --limit-key %s, a call of the tool %s counts under %s',
  async (limitKey, tool, expected) => {
    expect(await limitKeyOf(depsOf(limitKey), 'dev', makeToolCall(0, tool).call)).toBe(expected);
  },
);

it('with --limit-key account, a profile whose account is unknown counts by itself', async () => {
  const unknown = { ...depsOf('account'), knownAccount: () => undefined };
  expect(await limitKeyOf(unknown, 'dev', makeToolCall().call)).toBe('profile:dev');
});

it.each(LIMIT_KEYS)('with --limit-key %s, calls of one key have one limiter', async (limitKey) => {
  const created: string[] = [];
  const limiters = new KeyedLimiters(depsOf(limitKey), (key) => {
    created.push(key);
    return { key };
  });
  const first = await limiters.of('dev', makeToolCall(0, 'known').call);
  expect(await limiters.of('dev', makeToolCall(-1, 'known').call)).toBe(first);
  expect(created).toHaveLength(1);
  expect(limiters.usedBy('dev')).toEqual([first]);
});
