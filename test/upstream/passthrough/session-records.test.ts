import { expect, it } from 'vitest';
import { SessionRecords } from '../../../src/upstream/passthrough/session-records.ts';
import { Affinity } from '../../../src/upstream/transport/affinity.ts';

const MAX_SESSIONS = 10_000;

async function affinityWithCookie(): Promise<Affinity> {
  const affinity = new Affinity({ url: 'https://host.example/mcp', routes: false });
  await affinity.learn('A', { status: 200, headers: { 'set-cookie': 'AWSALB=1' } }, {}, undefined);
  return affinity;
}

it('a session admits the principal that first used it, and no other', () => {
  const records = new SessionRecords();
  expect(records.admits('s', 'A')).toBe(true);
  records.recordOwner('s', 'A');
  records.recordOwner('s', 'B');
  expect(records.admits('s', 'A')).toBe(true);
  expect(records.admits('s', 'B')).toBe(false);
  expect(records.admits('s', undefined)).toBe(false);
  expect(records.admits('t', 'B')).toBe(true);
  expect(records.admits(undefined, 'B')).toBe(true);
});

it('an empty session id has no owner and no affinity', async () => {
  const records = new SessionRecords();
  records.recordOwner('', 'A');
  records.keepAffinity('', await affinityWithCookie());
  expect(records.admits('', 'B')).toBe(true);
  expect(records.affinityOf('')).toBeUndefined();
});

it('a session keeps its first affinity until it is dropped', async () => {
  const records = new SessionRecords();
  const first = await affinityWithCookie();
  records.keepAffinity('s', new Affinity({ url: 'https://host.example/mcp', routes: false }));
  expect(records.affinityOf('s')).toBeUndefined();
  records.keepAffinity('s', first);
  records.keepAffinity('s', await affinityWithCookie());
  expect(records.affinityOf('s')).toBe(first);
  records.dropAffinity('s');
  records.dropAffinity(undefined);
  expect(records.affinityOf('s')).toBeUndefined();
});

it('the oldest session is forgotten when there are more than the bound', () => {
  const records = new SessionRecords();
  for (let at = 0; at <= MAX_SESSIONS; at++) records.recordOwner(`s${at}`, 'A');
  expect(records.admits('s0', 'B')).toBe(true);
  expect(records.admits('s1', 'B')).toBe(false);
  expect(records.admits(`s${MAX_SESSIONS}`, 'B')).toBe(false);
});
