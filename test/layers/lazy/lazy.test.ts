import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { type Call, compose, type Handler, type Reply } from '../../../src/core/pipeline/call.ts';
import { Events } from '../../../src/core/pipeline/events.ts';
import type { Snapshot, SnapshotStore } from '../../../src/core/tools/snapshot.ts';
import { lazy } from '../../../src/layers/lazy/lazy.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import {
  answerOf,
  CANCELLED,
  makeCall,
  makeToolCall,
  messageOf,
  requestOf,
  settle,
} from '../../support/make-call.ts';

const OPENING = { protocolVersion: '2025-11-25', capabilities: { tools: { listChanged: true } } };
const SNAPSHOT: Snapshot = {
  opening: JSON.stringify(OPENING),
  pages: { null: '{"tools":[{"name":"a","n":1.0}],"nextCursor":""}', '""': '{"tools":[]}' },
};

/** The layer over a server that the test plays. */
function make(server: Handler, snapshot: Snapshot | null = SNAPSHOT) {
  const clock = new FakeClock();
  const saved: Snapshot[] = [];
  const store: SnapshotStore = {
    load: async () => snapshot ?? undefined,
    save: async (_revision, kept) => void saved.push(kept),
  };
  const sent: Call[] = [];
  const { start, need } = lazy({ store, defaultProfile: '', host: 'mcp.test', clock, events: new Events() });
  const handler = compose([start, need], async (call) => {
    // Nothing is sent for it.
    if (call.assumedVersion !== undefined) return { kind: 'accepted' };
    sent.push(call);
    return server(call);
  });
  const methods = () => sent.map(({ message }) => (message.kind === 'response' ? '' : message.method));
  return { clock, saved, handler, sent, methods };
}

const initialize = (id: string | number = 0) =>
  makeCall(requestOf('initialize', { protocolVersion: '2025-11-25', capabilities: {} }, id)).call;
const initialized = makeCall(messageOf({ method: 'notifications/initialized' })).call;

const willing: Handler = async ({ message }) => {
  if (message.kind !== 'request') return { kind: 'accepted' };
  if (message.method === 'initialize') return answerOf({ result: OPENING });
  return answerOf({ result: message.method === 'tools/list' ? JSON.parse(SNAPSHOT.pages.null ?? '') : {} });
};

const textOf = (reply: Reply): string => (reply.kind === 'answer' ? reply.message.text : '');

describe('a lazy start', () => {
  it('--lazy answers with the stored texts under the ids of the callers, and sends nothing', async () => {
    const { handler, sent } = make(willing);
    expect(textOf(await handler(initialize(-1)))).toBe(
      `{"jsonrpc":"2.0","id":-1,"result":${SNAPSHOT.opening}}`,
    );
    expect(await handler(initialized)).toEqual({ kind: 'accepted' });
    for (const [cursor, id] of [
      [undefined, ''],
      ['', 0],
    ] as const) {
      const list = await handler(
        makeCall(requestOf('tools/list', cursor === undefined ? {} : { cursor }, id)).call,
      );
      expect(textOf(list)).toBe(
        `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${SNAPSHOT.pages[cursor === undefined ? 'null' : '""']}}`,
      );
    }
    expect(sent).toEqual([]);
  });

  it("--lazy opens the session with the client's initialize, sends initialized, then the call", async () => {
    const { handler, methods, sent } = make(willing);
    const first = initialize();
    await handler(first);
    await handler(initialized);
    await Promise.all([handler(makeToolCall(1).call), handler(makeToolCall(2).call)]);
    expect(methods().slice(0, 4)).toEqual([
      'initialize',
      'notifications/initialized',
      'tools/call',
      'tools/call',
    ]);
    expect(sent[0]?.message.json.params).toEqual(first.message.json.params);
    expect(sent[0]?.message.json.id).toBe('mcp-sigv4-proxy:initialize');
  });

  it('--lazy delays roots/list_changed while a session is opened, whose server may have requested roots', async () => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { handler, methods } = make(async (call) => {
      if (call.message.kind === 'request' && call.message.method === 'initialize') await opened;
      return willing(call);
    });
    await handler(initialize());
    await handler(initialized);
    const otherRoots = () =>
      handler(makeCall(messageOf({ method: 'notifications/roots/list_changed' })).call);
    expect(await otherRoots()).toEqual({ kind: 'accepted' });
    expect(methods()).toEqual([]);
    const running = handler(makeToolCall(0, 'echo').call);
    await settle();
    const received = otherRoots();
    await settle();
    open();
    await Promise.all([running, received]);
    expect(methods().slice(0, 4)).toEqual([
      'initialize',
      'notifications/initialized',
      'tools/call',
      'notifications/roots/list_changed',
    ]);
  });

  it('--lazy connects for a page that is not stored', async () => {
    const { handler, methods } = make(willing);
    await handler(initialize());
    await handler(makeCall(requestOf('tools/list', { cursor: 'unheard of' })).call);
    expect(methods()[0]).toBe('initialize');
  });

  it('--lazy lets one caller abort while the session is opened, and opens it for the others', async () => {
    let open: (reply: Reply) => void = () => undefined;
    const opening = new Promise<Reply>((resolve) => {
      open = resolve;
    });
    const { handler } = make((call) =>
      call.message.kind === 'request' && call.message.method === 'initialize' ? opening : willing(call),
    );
    await handler(initialize());
    const leaver = makeToolCall('');
    const left = handler(leaver.call);
    const stays = handler(makeToolCall(0).call);
    leaver.cancel();
    await expect(left).rejects.toBe(CANCELLED);
    open(answerOf({ result: OPENING }));
    expect(await stays).toMatchObject({ kind: 'answer' });
  });

  it('--lazy states that a call did not run if its time is over while the session is opened', async () => {
    const late = new ProxyError('timeout', 'may have run', { sent: 'maybe', ifUnsent: 'did not run' });
    const { handler, sent } = make(() => new Promise(() => undefined));
    await handler(initialize());
    const { call, cancel } = makeToolCall(0);
    const waits = handler(call);
    await settle();
    cancel(late);
    await expect(waits).rejects.toMatchObject({ reason: 'timeout', sent: 'no', message: 'did not run' });
    expect(sent).toHaveLength(1);
  });

  it('--lazy gives a silent server up after a minute, and tries again with the next call', async () => {
    let silent = true;
    const { handler, clock } = make((call) =>
      silent
        ? new Promise((_resolve, reject) => {
            call.signal.addEventListener('abort', () => reject(call.signal.reason));
          })
        : willing(call),
    );
    await handler(initialize());
    const refused = expect(handler(makeToolCall(-1).call)).rejects.toMatchObject({
      reason: 'not-opened',
      sent: 'no',
      message: expect.stringContaining('no answer within 60 s'),
    });
    await settle();
    await clock.advance(60_000);
    await refused;
    silent = false;
    expect(await handler(makeToolCall(-1).call)).toMatchObject({ kind: 'answer' });
  });

  it('--lazy passes stateless messages and those of a client without initialize', async () => {
    const { handler, methods } = make(willing);
    const claim = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
    await handler(makeCall(requestOf('tools/list', { _meta: claim })).call);
    await handler(makeCall(requestOf('tools/list')).call);
    expect(methods()).toEqual(['tools/list', 'tools/list']);
  });

  it("--lazy accepts the server's new answer when the client repeats initialize", async () => {
    const { handler, methods } = make(willing);
    await handler(initialize());
    await handler(makeToolCall().call);
    await settle();
    await handler(initialize(1));
    expect(methods().filter((method) => method === 'initialize')).toHaveLength(2);
  });

  it("--lazy asks a client to restart if the server's revision has changed, but not one that initializes again", async () => {
    const other = answerOf({ result: { ...OPENING, protocolVersion: '2025-06-18' } });
    let refuse: (reply: Reply) => void = () => undefined;
    let first = true;
    const { handler } = make((call) => {
      if (call.message.kind !== 'request' || call.message.method !== 'initialize') return willing(call);
      if (!first) return Promise.resolve(other);
      first = false;
      return new Promise((resolve) => {
        refuse = resolve;
      });
    });
    await handler(initialize());
    const early = expect(handler(makeToolCall('').call)).rejects.toMatchObject({ reason: 'restart-needed' });
    await settle();
    await handler(initialize(1));
    refuse(other);
    await early;
    expect(textOf(await handler(makeCall(requestOf('ping')).call))).toContain('"result":{}');
    await expect(handler(makeToolCall(0).call)).rejects.toMatchObject({
      reason: 'restart-needed',
      sent: 'no',
    });
    await expect(handler(makeCall(requestOf('ping')).call)).rejects.toMatchObject({
      reason: 'restart-needed',
    });
  });

  it('--lazy stores what a run without a snapshot has shown, page by page', async () => {
    const { handler, saved } = make(willing, null);
    await handler(initialize());
    await handler(makeCall(requestOf('tools/list')).call);
    await handler(makeCall(requestOf('tools/list', { cursor: '' })).call);
    expect(saved.at(-1)).toEqual({
      opening: SNAPSHOT.opening,
      pages: { null: expect.stringContaining('"a"'), '""': expect.stringContaining('"a"') },
    });
    // An unchanged page is stored already, and so are the later pages.
    const written = saved.length;
    await handler(makeCall(requestOf('tools/list', {}, '')).call);
    await handler(makeCall(requestOf('tools/list', { cursor: '' }, -1)).call);
    expect(saved).toHaveLength(written);
  });
});
