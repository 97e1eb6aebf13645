import { expect, it } from 'vitest';
import { CallRecord } from '../../../src/core/pipeline/call-record.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { requestOf } from '../../support/make-call.ts';

function startRecord() {
  const clock = new FakeClock();
  const request = requestOf('tools/call', { name: 't' }, 0);
  if (request.kind !== 'request') throw new TypeError('no request');
  const record = new CallRecord(1, {
    transport: 'stdio',
    request,
    client: { id: 'c' },
    profile: '',
    clock,
  });
  return { clock, record };
}

it("the server's time of a call is that from its first attempt, without the waits after it", async () => {
  const { clock, record } = startRecord();
  await clock.advance(100);
  record.queueMs = 100;
  record.beginAttempt(clock);
  record.beginConnectionWait(clock);
  await clock.advance(20);
  record.endConnectionWait(clock);
  record.endConnectionWait(clock);
  await clock.advance(7);
  record.backoffMs = 5;
  record.beginAttempt(clock);
  await clock.advance(3);
  record.end(clock);
  expect(record).toMatchObject({
    attempts: 2,
    ms: 130,
    connectionMs: 20,
    waitedMs: 125,
    upstreamMs: 30,
    serverMs: 5,
  });
});

it('a call that ends while it waits for a connection has waited until its end', async () => {
  const { clock, record } = startRecord();
  record.beginAttempt(clock);
  record.beginConnectionWait(clock);
  await clock.advance(50);
  record.end(clock);
  expect(record).toMatchObject({ attempts: 1, connectionMs: 50, upstreamMs: 50, serverMs: 0 });
});

it('a call without an attempt has no time at the server', async () => {
  const { clock, record } = startRecord();
  await clock.advance(50);
  record.end(clock);
  expect(record).toMatchObject({ attempts: 0, ms: 50, upstreamMs: 0, serverMs: 0 });
});
