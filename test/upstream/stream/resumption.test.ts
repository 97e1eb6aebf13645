import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { Resumption } from '../../../src/upstream/stream/resumption.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { comesTrue, settled } from '../http/connection-rig.ts';
import { transportTo } from '../transport/transport-rig.ts';

type Answer = (response: ServerResponse) => void;

const stream: Answer = (response) =>
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' }).flushHeaders();
const status =
  (code: number): Answer =>
  (response) =>
    void response.writeHead(code).end();

/** A server that answers GET by GET as the script says, and the last answer for ever after. */
async function rig(...script: readonly Answer[]) {
  let asked = 0;
  const server = await ScriptedServer.start(
    (_request, response) => script[Math.min(asked++, script.length - 1)]?.(response),
    { keepAliveTimeoutMs: 0 },
  );
  const clock = new FakeClock({ now: Date.now() });
  const { transport, lanes, events, seen } = transportTo(server, { clock });
  const controller = new AbortController();
  const resumption = new Resumption({
    transport,
    clock,
    events,
    headers: {},
    affinity: undefined,
    signal: controller.signal,
    onAttempt: () => undefined,
  });
  const next = (piece: { cause?: unknown; messages?: number } = {}) => {
    const opened = resumption.next({ cause: piece.cause, messages: piece.messages ?? 0 });
    opened.catch(() => undefined);
    return opened;
  };
  return {
    server,
    clock,
    lanes,
    controller,
    resumption,
    next,
    resumed: () => seen.filter(({ type }) => type === 'stream.resumed').length,
  };
}

/** Lets time pass, step by step, until the work has come to its end. */
async function passing(clock: FakeClock, work: Promise<unknown>, mostMs = 600_000): Promise<void> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  work.then(end, end);
  for (let ms = 0; !over; ms += 100) {
    if (ms > mostMs) throw new Error('it never ended');
    await clock.advance(100);
    // The answers come over a real socket.
    if (clock.timers === 0) await comesTrue(() => over || clock.timers > 0, 'an answer');
  }
}

describe('a stream that ended before its answer', () => {
  it('a stream that ended early is resumed after its last event, beside the connections of requests', async () => {
    const { server, clock, lanes, resumption, next, resumed } = await rig(stream);
    Object.assign(resumption.position, { lastEventId: '0', retryMs: 2_000 });
    const opened = next();
    await clock.advance(1_999);
    expect(server.requests).toHaveLength(0);
    await clock.advance(1);
    expect((await opened).response.status).toBe(200);
    expect(server.requests[0]?.headers['last-event-id']).toBe('0');
    expect([lanes.stream.active, lanes.request.active, resumed()]).toEqual([1, 0, 1]);
  });

  it('a stream that ended early without an event id is an error', async () => {
    const { server, next } = await rig(stream);
    const reset = new Error('reset');
    await expect(next({ cause: reset })).rejects.toBe(reset);
    await expect(next({ messages: 3 })).rejects.toMatchObject({ reason: 'connection-lost', sent: 'maybe' });
    expect(server.requests).toHaveLength(0);
  });

  it('a stream that ended early is resumed through temporary failures, and not after a refusal', async () => {
    const { server, clock, resumption, next } = await rig(status(503), status(500), status(404));
    resumption.position.lastEventId = 'e1';
    const opened = next();
    await passing(clock, opened);
    await expect(opened).rejects.toMatchObject({
      reason: 'connection-lost',
      message: expect.stringContaining('HTTP 404'),
    });
    expect(server.requests).toHaveLength(3);
  });

  it.each([
    [429, '3', 3_000],
    [503, '3', 3_000],
    [429, '3600', 20_000],
  ])(
    'a stream that ended early is resumed after HTTP %i with Retry-After %s, not before %i ms',
    async (code, retryAfter, ms) => {
      const { server, clock, resumption, next } = await rig(
        (response) => void response.writeHead(code, { 'retry-after': retryAfter }).end(),
        stream,
      );
      Object.assign(resumption.position, { lastEventId: 'e1', retryMs: 100 });
      const opened = next();
      await clock.advance(100);
      await comesTrue(() => server.requests.length === 1 && clock.timers === 1, 'the refusal');
      await clock.advance(ms - 1);
      expect(await settled(opened)).toBe(false);
      expect(server.requests).toHaveLength(1);
      await passing(clock, opened);
      expect((await opened).response.status).toBe(200);
    },
  );

  it('a stream that ended early is an error if nine tries do not open it', async () => {
    const { server, clock, resumption, next } = await rig(status(502));
    resumption.position.lastEventId = 'e1';
    const opened = next();
    await passing(clock, opened);
    await expect(opened).rejects.toMatchObject({ reason: 'connection-lost' });
    expect(server.requests).toHaveLength(9);
  });

  it('a stream that ended early is an error if nine resumptions bring nothing new', async () => {
    const { clock, resumption, next } = await rig(stream);
    resumption.position.lastEventId = 'e1';
    const cut = new Error('reset');
    for (let piece = 0; piece < 9; piece++) {
      const opened = next({ cause: cut });
      await passing(clock, opened);
      (await opened).lease.cancel(cut);
    }
    await expect(next({ cause: cut })).rejects.toBe(cut);
  });

  it('a stream that the server closes with a retry time is polled without a limit', async () => {
    const { server, clock, resumption, next } = await rig(stream);
    Object.assign(resumption.position, { lastEventId: '', retryMs: 100 });
    for (let piece = 0; piece < 30; piece++) {
      const opened = next();
      await passing(clock, opened);
      (await opened).lease.cancel(new Error('closed'));
    }
    expect(server.requests).toHaveLength(30);
  });

  it('a stream that ended early is not resumed after its caller has left', async () => {
    const { server, clock, controller, resumption, next } = await rig(stream);
    Object.assign(resumption.position, { lastEventId: 'e1', retryMs: 1_000 });
    const opened = next();
    expect(await settled(opened)).toBe(false);
    const reason = new Error('cancelled');
    controller.abort(reason);
    await expect(opened).rejects.toBe(reason);
    expect(clock.timers).toBe(0);
    await clock.advance(5_000);
    expect(server.requests).toHaveLength(0);
  });
});
