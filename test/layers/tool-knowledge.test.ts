import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/core/jsonrpc/message.ts';
import type { Emit, Handler, Origin } from '../../src/core/pipeline/call.ts';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import { PerProfile } from '../../src/core/pipeline/per-profile.ts';
import { ToolCatalog } from '../../src/core/tools/catalog.ts';
import { ChangeStreams } from '../../src/core/tools/change-streams.ts';
import { toolKnowledge } from '../../src/layers/tool-knowledge.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { answerOf, makeCall, messageOf, requestOf, settle } from '../support/make-call.ts';

const LIST = { tools: [{ name: 'reader', annotations: { readOnlyHint: true } }] };
const READS = { readOnly: true, idempotent: false, destructive: false };

function make(next: Handler) {
  const known = new PerProfile(() => new ToolCatalog());
  const toolsOf = (profile: string): ToolCatalog => known.of(profile);
  const clock = new FakeClock();
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  const feeds = new ChangeStreams();
  return {
    handler: toolKnowledge({ toolsOf, changeStreams: feeds, clock, events })(next),
    toolsOf,
    clock,
    seen,
    feeds,
  };
}

const ORIGIN = { profile: 'other', gone: new Promise<void>(() => undefined) };

describe('tool hints', () => {
  it('tool hints are read from every list that passes, for the profile that requested it', async () => {
    const { handler, toolsOf } = make(async () => answerOf({ result: LIST }));
    const reply = await handler({ ...makeCall(requestOf('tools/list')).call, profile: 'dev' });
    expect(reply).toMatchObject({ message: { json: { result: LIST } } });
    expect(toolsOf('dev').annotationsOf('reader')).toEqual(READS);
    expect(toolsOf('').annotationsOf('reader')).toBeUndefined();
  });

  it('tool hints are not read from other answers or errors', async () => {
    for (const [method, answer] of [
      ['prompts/list', { result: LIST }],
      ['tools/list', { error: { code: -1, message: 'no' } }],
    ] as const) {
      const { handler, toolsOf } = make(async () => answerOf(answer));
      await handler(makeCall(requestOf(method)).call);
      expect(toolsOf('').size).toBe(0);
    }
  });

  it('tool hints are dropped when a session begins', async () => {
    const { handler, toolsOf } = make(async () => answerOf({ result: {} }));
    toolsOf('').learn({ result: LIST });
    await handler(makeCall(requestOf('initialize')).call);
    expect(toolsOf('').size).toBe(0);
  });

  it('tool hints are kept when one of many HTTP clients begins its session', async () => {
    const { handler, toolsOf } = make(async () => answerOf({ result: {} }));
    toolsOf('').learn({ result: LIST });
    await handler({ ...makeCall(requestOf('initialize')).call, httpContext: { headers: {} } });
    expect(toolsOf('').size).toBe(1);
  });

  it('tool hints are dropped on list_changed, which reaches the client all the same', async () => {
    const changed = messageOf({ method: 'notifications/tools/list_changed' });
    const heard: unknown[] = [];
    const emit: Emit = async (message) => void heard.push(message);
    const { handler, toolsOf } = make(async (call) => {
      await call.emit(changed, ORIGIN);
      return answerOf({ result: {} });
    });
    toolsOf('other').learn({ result: LIST });
    toolsOf('').learn({ result: LIST });
    await handler(makeCall(requestOf('tools/call'), { emit }).call);
    expect(heard).toEqual([changed]);
    expect(toolsOf('other').size).toBe(0);
    expect(toolsOf('').size).toBe(1);
  });
});

const declaring = (capabilities: unknown) => answerOf({ result: { capabilities } });
const toolsNamed = (...names: readonly string[]) =>
  answerOf({ result: { tools: names.map((name) => ({ name })) } });
const CLAIM = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
};

/** A server whose list the test sets; `said` is what came down beside the answers. */
function changing({ listChanged }: { listChanged: boolean }) {
  const said: Message[] = [];
  const server = { names: ['a'], announces: false };
  const emit: Emit = async (message) => void said.push(message);
  const rig = make(async (call) => {
    if (call.message.kind === 'request' && call.message.method === 'initialize') {
      return declaring({ tools: { listChanged } });
    }
    if (server.announces) await call.emit(CHANGED, ORIGIN_OWN);
    server.announces = false;
    return toolsNamed(...server.names);
  });
  const ask = (method: string, params?: unknown) =>
    rig.handler(makeCall(requestOf(method, params), { emit }).call);
  return { ...rig, server, said, ask };
}

const CHANGED = messageOf({ method: 'notifications/tools/list_changed' });
const ORIGIN_OWN: Origin = { profile: '', gone: new Promise<void>(() => undefined) };
const changesIn = (seen: readonly ProxyEvent[]) => seen.filter(({ type }) => type === 'tools.changed');

describe('an unannounced change', () => {
  it('an unannounced change is reported once, and emitted to a client that was promised list_changed', async () => {
    const { ask, server, said, seen, toolsOf } = changing({ listChanged: true });
    await ask('initialize');
    await ask('tools/list');
    expect(said).toEqual([]);
    server.names = ['a', 'b'];
    await ask('tools/list');
    await ask('tools/list');
    expect(said.map((message) => message.text)).toEqual([
      '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}',
    ]);
    expect(changesIn(seen)).toEqual([{ type: 'tools.changed', profile: '', announced: false }]);
    // A message of the client invalidates nothing.
    expect(toolsOf('').complete).toBe(true);
  });

  it('an unannounced change is emitted once a minute at most', async () => {
    const { ask, server, said, seen, clock } = changing({ listChanged: true });
    await ask('initialize');
    for (let times = 0; times < 10; times++) {
      server.names = [`t${times}`];
      await ask('tools/list');
    }
    expect(changesIn(seen)).toHaveLength(9);
    expect(said).toHaveLength(1);
    await clock.advance(60_000);
    server.names = ['later'];
    await ask('tools/list');
    expect(said).toHaveLength(2);
  });

  it('an unannounced change is only reported if the server never promised list_changed', async () => {
    const { ask, server, said, seen } = changing({ listChanged: false });
    await ask('initialize');
    await ask('tools/list');
    server.names = [];
    await ask('tools/list');
    expect(changesIn(seen)).toHaveLength(1);
    expect(said).toEqual([]);
  });

  it('a change that the server announced or that a new session brings is not emitted again', async () => {
    const { ask, server, said, seen, toolsOf } = changing({ listChanged: true });
    await ask('initialize');
    await ask('tools/list');
    server.names = ['b'];
    server.announces = true;
    // A list that a list_changed overtakes is not learned; the next list is.
    await ask('tools/list');
    await ask('tools/list');
    expect(said).toEqual([CHANGED]);
    server.names = ['c'];
    await ask('initialize');
    await ask('tools/list');
    expect(said).toEqual([CHANGED]);
    expect(changesIn(seen)).toMatchObject([{ announced: true }, { announced: true }]);
    // A session that was opened anew behind the client's back is another matter.
    server.names = ['d'];
    toolsOf('').invalidate();
    await ask('tools/list');
    expect(said).toHaveLength(2);
  });

  it('an unannounced change is emitted on the subscription, with its id as spelled', async () => {
    const { handler, feeds, said, server } = listening();
    await handler(makeCall(requestOf('tools/list', { _meta: CLAIM })).call);
    server.names = ['b'];
    await handler(makeCall(requestOf('tools/list', { _meta: CLAIM })).call);
    expect(said.map((message) => message.text)).toEqual([
      '{"jsonrpc":"2.0","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"\\u006c"}},"method":"notifications/tools/list_changed"}',
    ]);
    expect(feeds.watchOf(LISTENER)).toBeDefined();
    server.close();
    await settle();
    expect(feeds.watchOf(LISTENER)).toBeUndefined();
  });

  it('an unannounced change is not emitted on a subscription without that grant', async () => {
    const { handler, feeds, said, server } = listening({ promptsListChanged: true });
    await handler(makeCall(requestOf('tools/list', { _meta: CLAIM })).call);
    server.names = ['b'];
    await handler(makeCall(requestOf('tools/list', { _meta: CLAIM })).call);
    expect(said).toEqual([]);
    expect(feeds.watchOf(LISTENER)).toBeUndefined();
  });
});

const LISTENER = { client: 'client-1', profile: '', stateless: true };

/** A server of revision 2026-07-28 with one listen stream open on it, acknowledged with what is honoured. */
function listening(honoured: Record<string, boolean> = { toolsListChanged: true }) {
  const said: Message[] = [];
  const server = { names: ['a'], close: (): void => undefined };
  const ack = messageOf({
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: honoured },
  });
  const rig = make(async (call) => {
    if (call.message.kind !== 'request' || call.message.method !== 'subscriptions/listen') {
      return toolsNamed(...server.names);
    }
    await call.emit(ack, ORIGIN_OWN);
    return new Promise((resolve) => {
      server.close = () => resolve(answerOf({ result: {} }));
    });
  });
  const emit: Emit = async (message) => {
    if (message !== ack) said.push(message);
  };
  const request = messageOf({ id: 'l', method: 'subscriptions/listen', params: { _meta: CLAIM } });
  const text = request.text.replace('"l"', '"\\u006c"');
  void rig.handler(makeCall({ ...request, text } as Message, { emit }).call);
  return { ...rig, server, said };
}

it('tool-knowledge leaves notifications and responses unchanged', async () => {
  const { handler } = make(async () => ({ kind: 'accepted' }));
  const { call } = makeCall(messageOf({ method: 'notifications/initialized' }));
  expect(await handler(call)).toEqual({ kind: 'accepted' });
});
