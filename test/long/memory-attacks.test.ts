import { describe, expect, it } from 'vitest';
import { claiming, startDual } from '../support/claims.ts';
import { openSession, startListening } from '../support/listening.ts';
import type { Rpc } from '../support/mcp-answers.ts';
import { sendJson } from '../support/mcp-answers.ts';
import {
  ANSWERS,
  gzipped,
  heavyArguments,
  heavyTool,
  nestedTool,
  SMALL_HEAP,
} from '../support/memory-attacks.ts';
import { startInitialized } from '../support/relayed.ts';

const ERAS = ['sessions', '2026-07-28'] as const;
const gz = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
const listOf = (id: unknown, tools: string, cursor?: string): string =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"tools":${tools}${cursor === undefined ? '' : `,"nextCursor":"${cursor}"`},"resultType":"complete"}}`;
const messageOf = ({ error }: Rpc): string => (error as { message: string } | undefined)?.message ?? '';

describe('with a heap of 256 MB, a stdio client', () => {
  it.each(ERAS)(
    'a stdio client at 256 MB of heap gets one clear error for each answer that would fill memory, era %s',
    async (era) => {
      let answering = ANSWERS[0]?.[1];
      const { bin, server } = await (era === 'sessions'
        ? startInitialized({ env: SMALL_HEAP, on: { 'tools/call': (q, r) => answering?.(q, r) } })
        : startDual((q, r) => answering?.(q, r), { env: SMALL_HEAP }));
      const got: string[] = [];
      for (const [at, [what, attack]] of ANSWERS.entries()) {
        answering = attack;
        const call = { name: 'x', arguments: {} };
        if (era === 'sessions') bin.send({ jsonrpc: '2.0', id: at, method: 'tools/call', params: call });
        else bin.send(claiming('tools/call', call, at));
        got.push(`${what}: ${messageOf(await bin.answer(at))}`);
      }
      expect(got).toEqual(
        ANSWERS.map(([what, , error]) => expect.stringMatching(new RegExp(`^${what}: .*${error.source}`))),
      );
      expect(server.requests.filter(({ rpc }) => rpc.method === 'tools/call')).toHaveLength(ANSWERS.length);
      expect(bin.lines.filter((line) => line.includes('"error"'))).toHaveLength(ANSWERS.length);
      bin.closeStdin();
      expect(await bin.exit()).toEqual({ code: 0, signal: null });
    },
  );

  it('a stdio client at 256 MB of heap survives thousands of server requests that it does not answer', async () => {
    const { bin } = await startInitialized({
      env: SMALL_HEAP,
      on: {
        'tools/call': ({ rpc }, response) => {
          const asked = Array.from(
            { length: 4_300 },
            (_, n) =>
              `data: {"jsonrpc":"2.0","id":${n},"method":"elicitation/create","params":{"x":${heavyArguments(1_500)}}}\n\n`,
          ).join('');
          response.writeHead(200, { ...gz, 'content-type': 'text/event-stream' });
          response.end(
            gzipped(`${asked}data: {"jsonrpc":"2.0","id":${JSON.stringify(rpc.id)},"result":{}}\n\n`),
          );
        },
      },
    });
    expect(await bin.request('tools/call', { name: 'x' }, -1)).toMatchObject({ result: {} });
    expect(await bin.request('ping', {}, '')).toMatchObject({ result: {} });
    expect(bin.messages.filter(({ method }) => method === 'elicitation/create')).toHaveLength(4_096);
  });

  it('a stdio client at 256 MB of heap reads cached heavy tool lists, and one that is nested deeply', async () => {
    const { bin } = await startInitialized({
      env: SMALL_HEAP,
      args: ['--deny-tool', 'heavy', '--tool-cache-ttl', '300'],
      on: {
        'tools/list': ({ rpc }, response) => {
          const { n } = (rpc.params?._meta ?? {}) as { n?: number };
          const tools = n === -1 ? nestedTool(100_000) : heavyTool(2_000_000);
          response.writeHead(200, gz).end(gzipped(listOf(rpc.id, tools)));
        },
      },
    });
    for (let n = -1; n < 36; n++) {
      const { result } = (await bin.request('tools/list', { _meta: { n } }, n)) as {
        result: { tools: unknown[] };
      };
      expect(result.tools).toHaveLength(n === -1 ? 1 : 0);
    }
    expect(await bin.request('ping', {}, 'after')).toMatchObject({ result: {} });
  });

  it('a stdio client at 256 MB of heap that does not read slows the socket, also for final answers', async () => {
    let begun = 0;
    const big = 'x'.repeat(9_000_000);
    const { bin, server } = await startInitialized({
      env: SMALL_HEAP,
      on: {
        'tools/call': ({ rpc }, response) => {
          begun++;
          sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: { content: [], big } });
        },
      },
    });
    bin.child.stdout.pause();
    for (let id = 0; id < 16; id++)
      bin.send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'x' } });
    let seen = -1;
    while (seen !== begun) {
      seen = begun;
      for (let n = 0; n < 20; n++) {
        const before = server.of('notifications/vendor').length;
        bin.notify('notifications/vendor');
        await server.until(() => server.of('notifications/vendor').length > before);
      }
    }
    expect(begun).toBeLessThan(13);
    bin.child.stdout.resume();
    for (let id = 0; id < 16; id++) await bin.answer(id);
  });

  it('a stdio client at 256 MB of heap that requests a cached list for ever, and reads nothing, is refused', async () => {
    const { bin } = await startInitialized({
      env: SMALL_HEAP,
      args: ['--tool-cache-ttl', '300'],
      on: {
        'tools/list': ({ rpc }, response) =>
          void response
            .writeHead(200, gz)
            .end(
              gzipped(
                listOf(rpc.id, `[{"name":"a","description":"${'y'.repeat(4_000_000)}","inputSchema":{}}]`),
              ),
            ),
      },
    });
    await bin.request('tools/list', {}, 'first');
    bin.child.stdout.pause();
    for (let id = 0; id < 68; id++) bin.send({ jsonrpc: '2.0', id, method: 'tools/list', params: {} });
    bin.child.stdout.resume();
    const answers = await Promise.all(Array.from({ length: 68 }, (_, id) => bin.answer(id)));
    const refused = answers.filter(({ error }) => error !== undefined);
    for (const each of refused) expect(messageOf(each)).toMatch(/has not read \d+ characters/);
    expect(await bin.request('ping', {}, 'after')).toMatchObject({ result: {} });
  });

  it('a stdio client at 256 MB of heap that sends very many objects gets an error, and waiting calls stay small', async () => {
    const { bin, server } = await startInitialized({
      env: SMALL_HEAP,
      on: { 'tools/call': () => undefined },
    });
    bin.send(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"x":${heavyArguments(2_000_000)}}}}`,
    );
    bin.send({ jsonrpc: '2.0', id: 'next', method: 'ping' });
    await bin.answer('next');
    expect(bin.messages.map(messageOf)).toContainEqual(
      expect.stringMatching(/JSON objects and arrays, which is the limit/),
    );
    const args = heavyArguments(60_000);
    for (let id = 2; id < 100; id++) {
      bin.send(
        `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"x","arguments":{"x":${args}}}}`,
      );
    }
    await server.until(() => server.of('tools/call').length > 0);
    expect(await bin.request('ping', {}, 'after')).toMatchObject({ result: {} });
  });
});

describe('with a heap of 256 MB, the listener', () => {
  it('a listener at 256 MB of heap answers each list that would fill memory with one clear error', async () => {
    let answering = ANSWERS[0]?.[1];
    const { ask } = await startListening({
      env: SMALL_HEAP,
      args: ['--read-only', '--retries', '0'],
      session: {
        on: { 'tools/list': (q, r) => answering?.(q, r), 'prompts/get': (q, r) => answering?.(q, r) },
      },
    });
    const headers = await openSession(ask);
    const got: string[] = [];
    for (const [at, [what, attack]] of ANSWERS.entries()) {
      answering = attack;
      const { json } = await ask({ headers, body: { jsonrpc: '2.0', id: at, method: 'tools/list' } });
      got.push(`${what}: ${messageOf(json)}`);
    }
    expect(got).toEqual(
      ANSWERS.map(([what, , error]) => expect.stringMatching(new RegExp(`^${what}: .*${error.source}`))),
    );
    expect((await ask({ headers, body: { jsonrpc: '2.0', id: '', method: 'ping' } })).json).toMatchObject({
      result: {},
    });
  });

  it('a listener at 256 MB of heap passes on what it need not read, and survives very many waiting objects', async () => {
    const long = 'x'.repeat(11_000_000);
    const { ask, server } = await startListening({
      env: SMALL_HEAP,
      args: ['--max-connections', '2'],
      session: {
        on: {
          'tools/call': () => undefined,
          'prompts/get': ({ rpc }, r) => sendJson(r, 200, { jsonrpc: '2.0', id: rpc.id, result: { long } }),
        },
      },
    });
    const headers = await openSession(ask);
    const passed = await ask({
      headers,
      body: { jsonrpc: '2.0', id: 0, method: 'prompts/get', params: { name: 'p' } },
    });
    expect(passed.status).toBe(200);
    expect(passed.text.length).toBeGreaterThan(long.length);
    const args = heavyArguments(100_000);
    const body = (id: number): string =>
      `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"x","arguments":{"x":${args}}}}`;
    for (let id = 0; id < 16; id++) void ask({ headers, body: body(id) }).catch(() => undefined);
    await server.until(() => server.of('tools/call').length === 2);
    const heavy = `{"jsonrpc":"2.0","id":-1,"method":"tools/call","params":{"name":"x","arguments":{"x":${heavyArguments(1_000_000)}}}}`;
    expect((await ask({ headers, body: heavy })).status).toBe(400);
    expect((await ask({ headers, body: { jsonrpc: '2.0', id: 0, method: 'ping' } })).json).toMatchObject({
      result: {},
    });
  });
});
