import { expect, it } from 'vitest';
import { SessionAges } from '../../../src/client/http/session-ages.ts';
import type { PeerFact, Peers } from '../../../src/core/pipeline/peers.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const opened = (session: string, status = 200) => ({ status, headers: { 'mcp-session-id': session } });
const answered = (status: number) => ({ status, headers: {} });
const of = (session: string) => ({ 'mcp-session-id': session });

function startAges(peers?: Peers) {
  const clock = new FakeClock();
  const ended: [reason: string, ageMs: number][] = [];
  const ages = new SessionAges({ clock, peers, onEnded: (reason, ageMs) => ended.push([reason, ageMs]) });
  return { clock, ages, ended };
}

it.each([
  ['DELETE that the server accepts', 'DELETE', 204, 'closed'],
  ['request that the server answers with 404', 'POST', 404, 'lost'],
  ['DELETE that the server answers with 404', 'DELETE', 404, 'lost'],
])(
  'the session of a client lasts from the response with its id to a %s',
  async (_, method, status, reason) => {
    const { clock, ages, ended } = startAges();
    ages.recordAnswer(opened('s-1'), {}, 'POST');
    ages.recordAnswer(opened('s-2'), {}, 'POST');
    await clock.advance(1_500);
    for (const plain of [200, 202, 400, 503]) ages.recordAnswer(answered(plain), of('s-1'), 'POST');
    for (const refused of [405, 500]) ages.recordAnswer(answered(refused), of('s-1'), 'DELETE');
    expect(ended).toEqual([]);
    ages.recordAnswer(answered(status), of('s-1'), method);
    // A repeated end is none, nor is that of a session of another replica.
    ages.recordAnswer(answered(status), of('s-1'), method);
    ages.recordAnswer(answered(status), of('s-3'), method);
    expect(ended).toEqual([[reason, 1_500]]);
  },
);

it('a refused initialize opens no session', () => {
  const { ages, ended } = startAges();
  ages.recordAnswer(opened('s-1', 400), {}, 'POST');
  ages.recordAnswer(answered(404), of('s-1'), 'POST');
  expect(ended).toEqual([]);
});

it('a session that one worker has opened can end in another', async () => {
  const listeners: ((fact: PeerFact) => void)[] = [];
  const peers: Peers = {
    publish: (fact) => {
      for (const listener of listeners) listener(fact);
    },
    subscribe: (listener) => {
      listeners.push(listener);
      return () => undefined;
    },
    recallAffinity: () => undefined,
  };
  const [one, other] = [startAges(peers), startAges(peers)];
  one.ages.recordAnswer(opened('s-1'), {}, 'POST');
  await other.clock.advance(250);
  other.ages.recordAnswer(answered(200), of('s-1'), 'DELETE');
  expect([one.ended, other.ended]).toEqual([[], [['closed', 250]]]);
});

it('the sessions that are measured are bounded: the oldest leave first', () => {
  const { ages, ended } = startAges();
  for (let at = 0; at <= 10_000; at++) ages.recordAnswer(opened(`s-${at}`), {}, 'POST');
  for (const id of ['s-0', 's-1']) ages.recordAnswer(answered(404), of(id), 'POST');
  expect(ended).toEqual([['lost', 0]]);
});
