import { describe, expect, it } from 'vitest';
import { HttpCalls, SESSION_CLIENT } from '../../../src/client/http/in-flight.ts';
import type { Message } from '../../../src/core/jsonrpc/message.ts';
import { readLine } from '../../../src/core/jsonrpc/parse.ts';
import type { PeerFact, Peers } from '../../../src/core/pipeline/peers.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const CLIENT = `${SESSION_CLIENT}a`;

function messageOf(body: object): Message {
  const line = readLine(JSON.stringify({ jsonrpc: '2.0', ...body }));
  if (line.kind !== 'message') throw new Error('no message');
  return line.message;
}

const CALL = messageOf({ id: 0, method: 'tools/call', params: { name: 'a', _meta: { progressToken: -1 } } });

/** The calls of two workers, which inform each other. */
function setUp() {
  const clock = new FakeClock();
  const listeners: ((fact: PeerFact) => void)[] = [];
  const facts: PeerFact[] = [];
  const worker = (own: number): HttpCalls => {
    const peers: Peers = {
      publish: (fact) => {
        facts.push(fact);
        listeners[1 - own]?.(fact);
      },
      subscribe: () => () => undefined,
      recallAffinity: () => undefined,
    };
    const calls = new HttpCalls(clock, peers);
    listeners[own] = (fact) => calls.learn(fact);
    return calls;
  };
  const [one, other] = [worker(0), worker(1)];
  const expired: unknown[] = [];
  const call = (client = CLIENT) =>
    one.add({ client, message: CALL, stream: false }, 1_000, () => {
      expired.push(CALL.kind === 'request' ? CALL.id : undefined);
    });
  return { clock, one, other, expired, call, facts };
}

const asks = messageOf({ id: '', method: 'elicitation/create' });

describe('the calls of a session on several workers', () => {
  it('the calls of a session wait for the user whom the server asks on a stream of another worker', async () => {
    const { clock, other, expired, call } = setUp();
    call();
    const tap = other.tapSession(CLIENT);
    tap.onMessage(asks);
    await clock.advance(10_000);
    expect(expired).toEqual([]);
    other.add(
      { client: CLIENT, message: messageOf({ id: '', result: {} }), stream: false },
      0,
      () => undefined,
    );
    await clock.advance(1_000);
    expect(expired).toEqual([0]);
  });

  it('the calls of a session go on where the stream of another worker goes on or ends', async () => {
    for (const end of ['message', 'close'] as const) {
      const { clock, other, expired, call } = setUp();
      call();
      const tap = other.tapSession(CLIENT);
      tap.onMessage(asks);
      await clock.advance(10_000);
      if (end === 'close') tap.close();
      else tap.onMessage(messageOf({ method: 'notifications/message', params: {} }));
      await clock.advance(1_000);
      expect(expired).toEqual([0]);
    }
  });

  it('the calls of a session go on after an hour without a word of the other worker', async () => {
    const { clock, other, expired, call } = setUp();
    call();
    other.tapSession(CLIENT).onMessage(asks);
    await clock.advance(3_600_000);
    await clock.advance(1_000);
    expect(expired).toEqual([0]);
  });

  it('the calls of a session are prolonged by progress that another worker receives', async () => {
    const { clock, other, expired, call } = setUp();
    call();
    await clock.advance(900);
    const progress = { method: 'notifications/progress', params: { progressToken: -1, progress: 1 } };
    other.tapSession(CLIENT).onMessage(messageOf(progress));
    await clock.advance(900);
    expect(expired).toEqual([]);
    await clock.advance(100);
    expect(expired).toEqual([0]);
  });

  it('the calls of clients without a session concern no other worker', () => {
    const { one, other, call, facts } = setUp();
    const client = 'http-request-1';
    call(client);
    other.tapSession(client).onMessage(asks);
    one.publish({ fact: 'cancelled', client, id: 0 });
    other.add({ client, message: messageOf({ id: 0, result: {} }), stream: false }, 0, () => undefined);
    expect(facts).toEqual([]);
  });
});
