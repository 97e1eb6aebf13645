import { describe, expect, it } from 'vitest';
import { Countdown } from '../../../src/client/deadline.ts';
import { type InFlight, InFlightRequests } from '../../../src/client/stdio/in-flight.ts';
import { type Id, idKey } from '../../../src/core/jsonrpc/message.ts';
import { CallController } from '../../../src/core/time/call-signal.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { requestOf } from '../../support/make-call.ts';

function entryOf(id: Id, token?: Id): InFlight {
  const request = requestOf('tools/call', {}, id);
  if (request.kind !== 'request') throw new TypeError('no request');
  return {
    request,
    controller: new CallController(),
    deadline: new Countdown(new FakeClock(), 0, () => undefined),
    tokenKey: token === undefined ? undefined : idKey(token),
    silent: false,
    started: true,
    settled: false,
  };
}

describe('the requests in flight', () => {
  it.each([[0], [''], [-1], ['0']])(
    'a request in flight is found by the progress token %j and by no other',
    (token) => {
      const requests = new InFlightRequests();
      const entry = entryOf(1, token);
      requests.add(entry);
      requests.add(entryOf(2, 'another'));
      requests.add(entryOf(3));
      expect(requests.byToken(idKey(token))).toEqual([entry]);
      const other = typeof token === 'string' ? 7 : String(token);
      expect(requests.byToken(idKey(other))).toEqual([]);
      requests.remove(entry);
      expect(requests.byToken(idKey(token))).toEqual([]);
    },
  );

  it('requests in flight that share a progress token are all found until each has ended', () => {
    const requests = new InFlightRequests();
    const [first, second] = [entryOf(1, 0), entryOf(2, 0)];
    requests.add(first);
    requests.add(second);
    expect(requests.byToken(idKey(0))).toEqual([first, second]);
    requests.remove(first);
    requests.remove(first);
    expect(requests.byToken(idKey(0))).toEqual([second]);
  });
});
