import { describe, expect, it } from 'vitest';
import type { ProxyError } from '../../../src/core/errors/errors.ts';
import { Incoming } from '../../../src/upstream/http/incoming.ts';
import { withSilenceLimit } from '../../../src/upstream/stream/silence.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { makeGate } from '../../support/relayed.ts';

function rig({ awaited = true } = {}) {
  const clock = new FakeClock();
  const response = new Incoming(200, {}, { pause: () => undefined, resume: () => undefined });
  const silences: ProxyError[] = [];
  const state = { awaited };
  const read = withSilenceLimit(
    { clock, limitMs: 5_000, isAwaited: () => state.awaited, onSilence: (error) => silences.push(error) },
    response,
    () => response.readAll(),
  );
  return { clock, response, silences, state, read };
}

describe('the silence watch', () => {
  it('the silence watch reports silence as long as the limit, and that the call may have run', async () => {
    const { clock, response, silences } = rig();
    await clock.advance(4_999);
    response.push(Buffer.from(':'));
    await clock.advance(4_999);
    expect(silences).toEqual([]);
    await clock.advance(1);
    expect(silences).toHaveLength(1);
    expect(silences[0]).toMatchObject({
      reason: 'timeout',
      sent: 'maybe',
      message: expect.stringContaining('5 s'),
      details: { limit: 'read-timeout', seconds: 5 },
    });
  });

  it('the silence watch ends with the answer, and leaves neither timer nor listener', async () => {
    const { clock, response, silences, read } = rig();
    response.push(Buffer.from('x'));
    response.end();
    expect((await read).toString()).toBe('x');
    expect(clock.timers).toBe(0);
    expect(response.onChunk).toBeUndefined();
    await clock.advance(10_000);
    expect(silences).toEqual([]);
  });

  it('the silence watch ends with an answer that breaks off', async () => {
    const { clock, response, read } = rig();
    response.fail(new Error('reset'));
    await expect(read).rejects.toThrow('reset');
    expect(clock.timers).toBe(0);
  });

  it('the silence watch ignores a stream without waiting callers', async () => {
    const { clock, response, silences, state } = rig();
    state.awaited = false;
    response.push(Buffer.from(':'));
    await clock.advance(60_000);
    expect(silences).toEqual([]);
  });

  it('the silence watch ignores the time in which the client does not accept what arrived', async () => {
    const clock = new FakeClock();
    const response = new Incoming(200, {}, { pause: () => undefined, resume: () => undefined });
    const silences: ProxyError[] = [];
    const client = makeGate();
    const read = withSilenceLimit(
      { clock, limitMs: 5_000, isAwaited: () => true, onSilence: (error) => silences.push(error) },
      response,
      async () => {
        let bytes = 0;
        for await (const chunk of response.chunks()) {
          bytes += chunk.length;
          await client.opened;
        }
        return bytes;
      },
    );
    response.push(Buffer.from('progress'));
    await clock.advance(60_000);
    expect(silences).toEqual([]);
    client.open();
    await clock.advance(5_000);
    expect(silences).toHaveLength(1);
    response.end();
    expect(await read).toBe(8);
  });
});
