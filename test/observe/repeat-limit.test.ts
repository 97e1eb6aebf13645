import { expect, it } from 'vitest';
import type { ProxyEvent } from '../../src/core/pipeline/events.ts';
import { RepeatLimit } from '../../src/observe/repeat-limit.ts';
import { FakeClock } from '../support/fake-clock.ts';

const refused = (address: string, message = 'no'): ProxyEvent => ({
  type: 'client.refused',
  status: 401,
  reason: 'client-refused',
  message,
  address,
  token: undefined,
});

function rig() {
  const clock = new FakeClock();
  const written: ProxyEvent[] = [];
  return { clock, written, limit: new RepeatLimit(clock, (event) => void written.push(event)) };
}

it('the log writes 20 lines of one event and address in 10 s, and how many it left out', async () => {
  const { clock, written, limit } = rig();
  for (let count = 0; count < 1_000; count++) limit.take(refused('192.0.2.1'));
  limit.take(refused('192.0.2.2'));
  expect(written).toHaveLength(21);
  await clock.advance(10_000);
  expect(written.slice(21)).toEqual([
    { type: 'log.lines-omitted', event: 'client.refused', address: '192.0.2.1', omitted: 980 },
  ]);
  limit.take(refused('192.0.2.1'));
  expect(written).toHaveLength(23);
});

it('the log has a bound also if each event has another address', async () => {
  const { clock, written, limit } = rig();
  for (let count = 0; count < 10_000; count++) limit.take(refused(`192.0.2.${count}`));
  expect(written.length).toBeLessThanOrEqual(64 + 20);
  await clock.advance(10_000);
  expect(written.at(-1)).toEqual({
    type: 'log.lines-omitted',
    event: 'client.refused',
    address: undefined,
    omitted: 10_000 - 64 - 20,
  });
  expect(clock.timers).toBe(0);
});

it('the log shortens texts that others choose, and leaves other events unchanged', () => {
  const { written, limit } = rig();
  limit.take(refused('192.0.2.1', 'x'.repeat(100_000)));
  expect(JSON.stringify(written[0]).length).toBeLessThan(1_200);
  const event: ProxyEvent = { type: 'session.open-failed', profile: '', message: 'x'.repeat(5_000) };
  for (let count = 0; count < 30; count++) limit.take(event);
  expect(written.slice(1)).toEqual(Array(30).fill(event));
});
