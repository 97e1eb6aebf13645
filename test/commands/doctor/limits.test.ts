import { expect, it } from 'vitest';
import { checkLimits, limitsRemedy } from '../../../src/commands/doctor/limits.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { MemoryStore } from '../../support/memory-store.ts';

it.each([
  ['WRONGPASS invalid username-password pair', /password in --limits/],
  ['NOAUTH Authentication required.', /password in --limits/],
  ["NOPERM this user has no permissions to run the 'evalsha' command", /docs\/limits\.md/],
  ["ERR The user executing the script can't run this command or subcommand", /docs\/limits\.md/],
  ["READONLY You can't write against a read only replica.", /primary/],
  ["OOM command not allowed when used memory > 'maxmemory'.", /maxmemory/],
  ['unable to verify the first certificate', /NODE_EXTRA_CA_CERTS/],
  ['connect ECONNREFUSED 127.0.0.1:6379', /host, port and network/],
])('the remedy of doctor for the Redis error %s fits', (cause, remedy) => {
  expect(limitsRemedy(cause)).toMatch(remedy);
});

it('doctor fails the check of --limits where Redis refuses an operation, and passes it otherwise', async () => {
  const store = new MemoryStore(new FakeClock());
  const check = () => checkLimits({ limits: 'redis://:hidden@redis.test' }, async () => store);
  expect(await check()).toMatchObject({
    verdict: 'ok',
    detail: 'redis.test:6379: one operation in 1 ms, used by 0 processes now',
  });
  store.failing.set('probe', 'OOM command not allowed.');
  expect(await check()).toMatchObject({
    verdict: 'failed',
    detail: 'redis.test:6379: OOM command not allowed; each process takes a local share',
  });
});
