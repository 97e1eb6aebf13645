import { describe, expect, it } from 'vitest';
import type { Id } from '../../../src/core/jsonrpc/message.ts';
import { EventWriter, sendJson } from '../../support/mcp-answers.ts';
import { makeGate } from '../../support/relayed.ts';
import { comesTrue, settled } from '../http/connection-rig.ts';
import { type StatelessRigOptions, startStateless, textOf } from './stateless-rig.ts';

const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId';
const FILTER = { toolsListChanged: true, resourceSubscriptions: ['file:///a', 'file:///ü "b"'] };

const tagged = (method: string, id: Id, params: object = {}) => ({
  jsonrpc: '2.0',
  method,
  params: { ...params, _meta: { [SUBSCRIPTION_ID]: id } },
});
const ackOf = (id: Id, notifications: object = FILTER) =>
  tagged('notifications/subscriptions/acknowledged', id, { notifications });

type Opening = (events: EventWriter, at: number) => void;

/** A subscription whose streams the test opens one by one; `at` counts from 0. */
async function startSubscription(id: Id, opening: Opening | number[], options: StatelessRigOptions = {}) {
  const streams: EventWriter[] = [];
  const rig = await startStateless((_request, response) => {
    const at = rig.server.requests.length - 1;
    const status = Array.isArray(opening) ? opening[at] : 200;
    if (status !== undefined && status !== 200) return void response.writeHead(status).end('no');
    const events = new EventWriter(response);
    streams.push(events);
    if (!Array.isArray(opening)) opening(events, at);
    else events.send(ackOf(id));
  }, options);
  const { reply, cancel } = rig.ask('subscriptions/listen', { notifications: FILTER }, id);
  const texts = () => rig.emitted.map(({ json }) => json);
  const opened = (count: number) => rig.server.until((requests) => requests.length >= count);
  /** Lets one wait after the other pass, until so many requests have come. */
  const openedAgain = async (count: number) => {
    for (const deadline = Date.now() + 10_000; rig.server.requests.length < count; ) {
      if (Date.now() > deadline) throw new Error(`only ${rig.server.requests.length} came`);
      await rig.clock.advance(1_000);
    }
  };
  const received = (count: number) => comesTrue(() => rig.emitted.length >= count, `${count} messages`);
  return { ...rig, streams, reply, cancel, texts, opened, openedAgain, received };
}

describe('a throttled subscription', () => {
  it.each([
    [400, { 'x-amzn-errortype': 'ThrottlingException' }, '{"message":"slow down"}'],
    [409, { 'x-amzn-errortype': 'RetryableConflictException' }, '{"message":"busy"}'],
    [403, {}, '{"__type":"com.amazon#ThrottlingException","message":"slow down"}'],
    [200, { 'content-type': 'application/json' }, '{"__type":"ThrottlingException","message":"slow down"}'],
  ])(
    'a subscription that is throttled when it reopens is retried, whatever the status: %i %j',
    async (status, headers, body) => {
      const streams: EventWriter[] = [];
      const rig = await startStateless((_request, response) => {
        if (rig.server.requests.length === 2) return void response.writeHead(status, headers).end(body);
        const events = new EventWriter(response);
        events.send(ackOf(0));
        streams.push(events);
      });
      const { cancel } = rig.ask('subscriptions/listen', { notifications: FILTER }, 0);
      await comesTrue(() => rig.emitted.length === 1, 'it is acknowledged');
      streams[0]?.end();
      for (const deadline = Date.now() + 10_000; streams.length < 2; ) {
        if (Date.now() > deadline) throw new Error(`${rig.server.requests.length} requests came`);
        await rig.clock.advance(1_000);
      }
      expect(rig.server.requests).toHaveLength(3);
      cancel(new Error('over'));
    },
  );
});

describe('a subscription', () => {
  it.each([0, '', -1, 'listen:0'])(
    'a subscription emits everything in order, under its id %j',
    async (id) => {
      const { reply, texts, server, received, streams } = await startSubscription(id, (events) => {
        events.send(ackOf(id));
        events.raw(': keep-alive\n\n');
        events.send(tagged('notifications/tools/list_changed', id));
      });
      await received(2);
      streams[0]?.send(tagged('vendor/changed', id, { n: 1 }));
      streams[0]?.send({ jsonrpc: '2.0', id, result: { resultType: 'complete' } });
      streams[0]?.end();
      expect(textOf(await reply)).toBe(
        JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete' } }),
      );
      expect(texts()).toEqual([
        ackOf(id),
        tagged('notifications/tools/list_changed', id),
        tagged('vendor/changed', id, { n: 1 }),
      ]);
      expect(server.requests).toHaveLength(1);
    },
  );

  it('a subscription needs no connection of --max-connections, whatever their number', async () => {
    const { ask, server, lanes } = await startStateless(
      ({ rpc }, response) => {
        if (rpc.method !== 'subscriptions/listen')
          return sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
        new EventWriter(response).send(ackOf(rpc.id as Id));
      },
      { max: 1, readTimeoutMs: 1_000 },
    );
    const ids = Array.from({ length: 20 }, (_, at) => `listen:${at}`);
    const listening = ids.map((id) => ask('subscriptions/listen', { notifications: FILTER }, id));
    await server.until((requests) => requests.length === 20);
    expect(lanes.request.active).toBe(0);
    await ask('tools/list').reply;
    expect(server.connectionsThat(({ rpc }) => rpc.method === 'subscriptions/listen')).toBe(20);
    for (const { cancel } of listening) cancel();
  });

  it('a subscription has no limit on silence', async () => {
    const { clock, reply, received, server } = await startSubscription(0, (events) => events.send(ackOf(0)), {
      readTimeoutMs: 1_000,
    });
    await received(1);
    await clock.advance(7 * 24 * 3_600_000);
    expect(await settled(reply)).toBe(false);
    expect(server.requests).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });

  it.each([0, '', 'listen:0'])(
    'the subscription %j that its client cancels is closed, and nothing is posted',
    async (id) => {
      const { reply, cancel, received, server, clock } = await startSubscription(id, (events) =>
        events.send(ackOf(id)),
      );
      await received(1);
      cancel();
      await expect(reply).rejects.toThrow('cancelled');
      await comesTrue(() => server.requests[0]?.socket.destroyed === true, 'closed');
      await clock.advance(600_000);
      expect(server.requests).toHaveLength(1);
      expect(clock.timers).toBe(0);
    },
  );

  it('a subscription slows its server down if its client does not read', async () => {
    const reads = makeGate();
    const { streams, server, received, reply } = await startSubscription(
      0,
      (events) => events.send(ackOf(0)),
      {
        taken: () => reads.opened,
      },
    );
    await received(1);
    const line = `data: ${JSON.stringify(tagged('notifications/resources/updated', 0, { uri: 'x'.repeat(1_000) }))}\n\n`;
    for (let at = 0; at < 20_000; at++) streams[0]?.raw(line);
    await comesTrue(
      () => (server.requests[0]?.socket.writableLength ?? 0) > 5_000_000,
      'a socket that is full',
    );
    for (let turn = 0; turn < 50; turn++) await settled(reply);
    expect(server.requests[0]?.socket.writableLength).toBeGreaterThan(5_000_000);
    reads.open();
    await received(20_001);
  });
});

describe('a subscription whose stream breaks', () => {
  it.each([
    ['ends', (events: EventWriter | undefined) => events?.end()],
    ['is cut', (events: EventWriter | undefined) => events?.destroy()],
  ])(
    'a subscription whose stream %s is reopened, and emits once what may have changed',
    async (_how, end) => {
      const id = 7;
      const { streams, texts, received, openedAgain, server, opened, reply, seen } = await startSubscription(
        id,
        (events) => events.send(ackOf(id)),
      );
      await received(1);
      end(streams[0]);
      await openedAgain(2);
      await received(4);
      expect(texts().slice(1)).toEqual([
        tagged('notifications/tools/list_changed', id),
        tagged('notifications/resources/updated', id, { uri: 'file:///a' }),
        tagged('notifications/resources/updated', id, { uri: 'file:///ü "b"' }),
      ]);
      // And goes on as before.
      streams[1]?.send(tagged('notifications/tools/list_changed', id));
      await received(5);
      streams[1]?.send({ jsonrpc: '2.0', id, result: {} });
      streams[1]?.end();
      expect(textOf(await reply)).toContain('"result":{}');
      await opened(2);
      expect(server.requests.map(({ text }) => text)[1]).toBe(server.requests[0]?.text);
      expect(server.requests[1]?.headers).not.toHaveProperty('last-event-id');
      expect(seen.filter(({ type }) => type === 'stream.resumed' || type === 'stream.ended')).toHaveLength(2);
    },
  );

  it('a subscription that is reopened spells the id as its client did', async () => {
    const { streams, received, openedAgain, emitted, send } = await startSubscription(
      'other',
      (events, at) => (at === 0 ? events.send(ackOf('other')) : undefined),
    );
    await received(1);
    send({ id: 1, method: 'x' });
    streams[0]?.end();
    await openedAgain(2);
    streams.at(-1)?.send(ackOf('other'));
    await received(2);
    expect(emitted[1]?.text).toBe(
      `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"${SUBSCRIPTION_ID}":"other"}}}`,
    );
  });

  it('a subscription that breaks invalidates the tool catalog', async () => {
    const { streams, received, openedAgain, tools } = await startSubscription(0, (events) =>
      events.send(ackOf(0)),
    );
    await received(1);
    tools.learn({ result: { tools: [{ name: 'tool' }] } });
    streams[0]?.end();
    await openedAgain(2);
    await received(2);
    expect(tools.definitionOf('tool')).toBeUndefined();
  });

  it('a subscription survives temporary refusals, and reports its waits', async () => {
    const { streams, received, openedAgain, texts } = await startSubscription(
      0,
      [200, 503, 429, 500, 502, 200],
    );
    await received(1);
    streams[0]?.destroy();
    await openedAgain(6);
    await received(4);
    expect(texts()).toHaveLength(4);
  });

  it.each([400, 401, 403, 404, 410])(
    'a subscription ends at once if it is refused with %s',
    async (status) => {
      const { streams, received, openedAgain, reply, server } = await startSubscription('', [200, status]);
      await received(1);
      streams[0]?.destroy();
      await openedAgain(2);
      await expect(reply).rejects.toMatchObject({ reason: 'subscription-lost', code: -31025, sent: 'maybe' });
      expect(server.requests).toHaveLength(2);
    },
  );

  it('a subscription ends after too many tries', async () => {
    const { streams, received, openedAgain, reply, clock, server } = await startSubscription(0, [
      200,
      ...Array.from({ length: 20 }, () => 503),
    ]);
    await received(1);
    streams[0]?.destroy();
    await openedAgain(9);
    // Each of the tries goes over a real socket.
    for (const late = Date.now() + 10_000; !(await settled(reply)) && Date.now() < late; ) {
      await clock.advance(1_000);
    }
    await expect(reply).rejects.toMatchObject({
      reason: 'subscription-lost',
      message: expect.stringMatching(/HTTP 503.*tried 8 times/s),
    });
    expect(server.requests).toHaveLength(9);
    expect(clock.timers).toBe(0);
  });

  it('a subscription returns the answer that the server gives to the second request', async () => {
    const { streams, received, openedAgain, reply } = await startSubscription(0, (events, at) => {
      if (at === 0) events.send(ackOf(0));
      else
        events.send(
          '{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"Subscription limit reached"}}',
        );
    });
    await received(1);
    streams[0]?.end();
    await openedAgain(2);
    expect(textOf(await reply)).toBe(
      '{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"Subscription limit reached"}}',
    );
  });

  it('a subscription ends if the server would announce less than before', async () => {
    const { streams, received, openedAgain, reply, texts } = await startSubscription(0, (events, at) =>
      events.send(ackOf(0, at === 0 ? FILTER : { ...FILTER, resourceSubscriptions: ['file:///a'] })),
    );
    await received(1);
    streams[0]?.end();
    await openedAgain(2);
    await expect(reply).rejects.toMatchObject({ reason: 'subscription-lost' });
    expect(texts()).toHaveLength(1);
  });

  it('a subscription waits longer each time if its streams are short, and never ends for that', async () => {
    const { server, clock, received, reply } = await startSubscription(0, (events) => {
      events.send(ackOf(0));
      events.end();
    });
    await received(1);
    // A minute of waits that no longer grow is worth two streams, not sixty.
    for (const late = Date.now() + 10_000; server.requests.length <= 5 && Date.now() < late; ) {
      await clock.advance(1_000);
    }
    const before = server.requests.length;
    expect(before).toBeGreaterThan(5);
    for (let second = 0; second < 120; second++) await clock.advance(1_000);
    expect(server.requests.length - before).toBeLessThan(20);
    expect(await settled(reply)).toBe(false);
  });

  it('a subscription is not reopened once its client has cancelled it', async () => {
    const { streams, received, reply, cancel, clock, server } = await startSubscription(0, (events) =>
      events.send(ackOf(0)),
    );
    await received(1);
    streams[0]?.end();
    await comesTrue(() => clock.timers === 1, 'the wait');
    cancel();
    await expect(reply).rejects.toThrow('cancelled');
    await clock.advance(600_000);
    expect(server.requests).toHaveLength(1);
  });
});

describe('a subscription that was never acknowledged', () => {
  it('a subscription without an acknowledgement is reopened if its stream breaks', async () => {
    const { openedAgain, received, texts } = await startSubscription(0, (events, at) => {
      if (at === 0) events.end();
      else events.send(ackOf(0));
    });
    await openedAgain(2);
    await received(1);
    expect(texts()).toEqual([ackOf(0)]);
  });

  it('a subscription without an acknowledgement ends after a few empty streams', async () => {
    const { openedAgain, reply, server } = await startSubscription(0, (events) => events.end());
    await openedAgain(3);
    await expect(reply).rejects.toMatchObject({ reason: 'connection-lost' });
    expect(server.requests).toHaveLength(3);
  });

  it.each([400, 404, 429, 500])(
    'a subscription without an acknowledgement returns the error of a request refused with %s',
    async (status) => {
      const { reply, server } = await startSubscription(0, [status]);
      await expect(reply).rejects.toMatchObject({ reason: 'http-status', details: { httpStatus: status } });
      expect(server.requests).toHaveLength(1);
    },
  );
});
