import { describe, expect, it } from 'vitest';
import { claiming, derivedHeaders, ENVELOPE, REVISION, type Script, startDual } from '../support/claims.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';

const META = JSON.stringify(ENVELOPE);
const resultFor: Script = ({ rpc }, response) =>
  sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
const cancel = (requestId: unknown) => claiming('notifications/cancelled', { requestId });

describe('a request of revision 2026-07-28', () => {
  it.each([0, '', -1, '0', 'server-discover-probe-1'])(
    'a request of revision 2026-07-28 needs no earlier request and leaves nothing behind: id %j',
    async (id) => {
      const { server, bin } = await startDual(resultFor);
      bin.send(claiming('server/discover', {}, id));
      expect(await bin.answer(id)).toEqual({ jsonrpc: '2.0', id, result: {} });
      bin.closeStdin();
      expect(await bin.exit()).toEqual({ code: 0, signal: null });
      expect(server.requests.map(({ method }) => method)).toEqual(['POST']);
      expect(server.requests[0]?.verification?.ok).toBe(true);
      expect(bin.stderr).toBe('');
    },
  );

  it('a request of revision 2026-07-28 and its response pass with their text unchanged', async () => {
    const { server, bin } = await startDual(({ rpc }, response) => {
      const text = '"result":{"n":12345678901234567890,"x":1.0,"b":{"z":1,"a":1e400}}';
      sendJson(response, 200, `{\n "id":"${rpc.id}" , "jsonrpc":"2.0",\r\n ${text}}`);
    });
    const line = `{"id":"a", "method":"vendor/do","params":{"_meta":${META},"n":9007199254740993,"f":-0},"jsonrpc":"2.0"}`;
    bin.send(line);
    await bin.answer('a');
    expect(server.requests.map(({ text }) => text)).toEqual([line]);
    expect(bin.lines).toEqual([
      '{  "id":"a" , "jsonrpc":"2.0",  "result":{"n":12345678901234567890,"x":1.0,"b":{"z":1,"a":1e400}}}',
    ]);
  });

  it('the rounds of a multi-round request pass unchanged', async () => {
    const asked =
      '"result":{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create","params":{"x":1.0}}},"requestState":"\\u00fc+/=\\\\ 1"}';
    const { server, bin } = await startDual(({ rpc }, response) => {
      sendJson(
        response,
        200,
        `{"jsonrpc":"2.0","id":${rpc.id},${rpc.id === 0 ? asked : '"result":{"content":[]}'}}`,
      );
    });
    const call = (id: number, more: string) =>
      `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"ask","arguments":{},${more}"_meta":${META}}}`;
    bin.send(call(0, ''));
    await bin.answer(0);
    const second = call(
      1,
      '"inputResponses":{"q":{"action":"accept","content":{"n":1.0}}},"requestState":"\\u00fc+/=\\\\ 1",',
    );
    bin.send(second);
    await bin.answer(1);
    expect(bin.lines).toEqual([
      `{"jsonrpc":"2.0","id":0,${asked}}`,
      '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}',
    ]);
    expect(server.requests.map(({ text }) => text)).toEqual([call(0, ''), second]);
    const [first, retry] = server.requests.map(({ headers }) => derivedHeaders(headers));
    expect(retry).toEqual(first);
    expect(first).toEqual({
      'mcp-protocol-version': REVISION,
      'mcp-method': 'tools/call',
      'mcp-name': 'ask',
    });
  });

  it('a request of revision 2026-07-28 is sent with the revision that it claims, so that the server can refuse it', async () => {
    const error =
      '{"code":-32022,"message":"Unsupported","data":{"supported":["2026-07-28"],"requested":"v999.0.0"}}';
    const { server, bin } = await startDual(({ rpc }, response) =>
      sendJson(response, 400, `{"jsonrpc":"2.0","id":${rpc.id},"error":${error}}`),
    );
    const meta = { ...ENVELOPE, 'io.modelcontextprotocol/protocolVersion': 'v999.0.0' };
    expect(await bin.request('server/discover', { _meta: meta })).toMatchObject({ error: JSON.parse(error) });
    expect(server.requests[0]?.headers['mcp-protocol-version']).toBe('v999.0.0');
  });

  it('a request of revision 2026-07-28 whose method cannot be a header value returns an error', async () => {
    const { server, bin } = await startDual(resultFor);
    bin.send(claiming('größe\r\nx-evil: 1', {}, ''));
    expect(await bin.answer('')).toMatchObject({ error: { code: -32600, data: { mayHaveRun: false } } });
    expect(server.requests).toEqual([]);
  });

  it('--metadata is added to the _meta of a request of revision 2026-07-28', async () => {
    const { server, bin } = await startDual(resultFor, { args: ['--metadata', 'team=blue'] });
    bin.send(claiming('tools/list', {}, 0));
    await bin.answer(0);
    expect(server.requests[0]?.rpc.params).toMatchObject({ _meta: { ...ENVELOPE, team: 'blue' } });
    expect(server.requests[0]?.headers['user-agent']).toMatch(/client\/1/);
  });

  it('progress and log messages of a stateless request are emitted before its response', async () => {
    const { bin } = await startDual(({ rpc }, response) => {
      const events = new EventWriter(response);
      for (const progress of [1, 2]) {
        events.send(
          { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 0, progress } },
          'event',
        );
      }
      events.raw(': keep-alive\n\n');
      events.send({ jsonrpc: '2.0', id: rpc.id, result: {} });
      events.end();
    });
    bin.send(claiming('tools/call', { name: 'steps' }, 0));
    await bin.answer(0);
    expect(
      bin.messages.map(({ method, params, id }) => [method, (params as { progress?: number })?.progress, id]),
    ).toEqual([
      ['notifications/progress', 1, undefined],
      ['notifications/progress', 2, undefined],
      [undefined, undefined, 0],
    ]);
  });

  it('a stateless request whose stream ends without a response returns one error at once', async () => {
    const { server, bin } = await startDual((_request, response) => {
      const events = new EventWriter(response);
      events.prime('event-1', 0);
      events.end();
    });
    bin.send(claiming('tools/call', { name: 'tool' }, -1));
    expect(await bin.answer(-1)).toMatchObject({
      error: { code: -31002, data: { reason: 'connection-lost', mayHaveRun: true } },
    });
    bin.send(claiming('tools/list', {}, 1));
    await bin.answer(1);
    expect(server.requests.map(({ method, rpc }) => [method, rpc.method])).toEqual([
      ['POST', 'tools/call'],
      ['POST', 'tools/list'],
    ]);
  });
});

describe('tools with arguments in headers (x-mcp-header)', () => {
  const good = { name: 'good', inputSchema: { properties: { a: { type: 'string', 'x-mcp-header': 'A' } } } };
  const bad = { name: 'bad', inputSchema: { properties: { a: { type: 'number', 'x-mcp-header': 'A' } } } };
  const listOf =
    (tools: string): Script =>
    ({ rpc }, response) =>
      sendJson(
        response,
        200,
        `{"jsonrpc":"2.0","id":${JSON.stringify(rpc.id)},"result":{"ttlMs":1.0,"tools":${tools},"nextCursor":"n"}}`,
      );
  const LIST = `[ ${JSON.stringify(good)}, {"name":"other","n":12345678901234567890} ,${JSON.stringify(bad)}]`;

  it('tools with an invalid x-mcp-header are left out of the list, and the log states why once', async () => {
    const { bin } = await startDual(listOf(LIST), { args: ['--pages', 'pass', '--log-level', 'warn'] });
    for (const id of [0, 1]) {
      bin.send(claiming('tools/list', {}, id));
      await bin.answer(id);
    }
    expect(bin.lines[0]).toBe(
      `{"jsonrpc":"2.0","id":0,"result":{"ttlMs":1.0,"tools":[${JSON.stringify(good)},{"name":"other","n":12345678901234567890}],"nextCursor":"n"}}`,
    );
    await bin.stderrMatching(/tool\.invalid/);
    const lines = bin.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      { msg: 'tool.invalid', name: 'bad', reason: expect.stringContaining('"number"') },
    ]);
  });

  it('tools with an invalid x-mcp-header stay in the lists of sessions, which do not use the annotation', async () => {
    const { bin } = await startDual(resultFor, { tools: [good, bad] });
    await bin.initialize({}, 'handshake');
    expect(await bin.request('tools/list')).toMatchObject({ result: { tools: [good, bad] } });
  });

  it('a list without tools with an invalid x-mcp-header passes byte for byte', async () => {
    const { bin } = await startDual(listOf(' [ {"name":"other","n":1.0} ] '), { args: ['--pages', 'pass'] });
    bin.send(claiming('tools/list', {}, ''));
    await bin.answer('');
    expect(bin.lines).toEqual([
      '{"jsonrpc":"2.0","id":"","result":{"ttlMs":1.0,"tools": [ {"name":"other","n":1.0} ] ,"nextCursor":"n"}}',
    ]);
  });

  it('tools with x-mcp-header are called with their headers, even before the client has listed them', async () => {
    const { server, bin } = await startDual(({ rpc, headers }, response) => {
      const { cursor, arguments: args } = rpc.params as { cursor?: string; arguments?: { a: string } };
      const answer = (status: number, outcome: object) =>
        sendJson(response, status, { jsonrpc: '2.0', id: rpc.id, ...outcome });
      if (rpc.method === 'tools/list') {
        return answer(200, {
          result: cursor === undefined ? { tools: [], nextCursor: '' } : { tools: [good] },
        });
      }
      const read = Buffer.from(String(headers['mcp-param-a']).slice(9, -2), 'base64').toString();
      if (read === args?.a) return answer(200, { result: { content: [] } });
      return answer(400, { error: { code: -32020, message: 'Header mismatch' } });
    });
    bin.send(claiming('tools/call', { name: 'good', arguments: { a: 'süd\n1' } }, 0));
    expect(await bin.answer(0)).toMatchObject({ result: {} });
    const ways = server.requests.map(({ rpc }) => rpc.method);
    expect(ways).toEqual(['tools/call', 'tools/list', 'tools/list', 'tools/call']);
    // The proxy's own reading of the list is not visible.
    expect(bin.messages).toHaveLength(1);
  });

  it("a tool whose headers the server refuses each time returns the server's error unchanged", async () => {
    const error = '{"code":-32020,"message":"Header mismatch","data":{"x":1.0}}';
    const { bin } = await startDual((request, response) => {
      const { method, id } = request.rpc;
      if (method === 'tools/list')
        return sendJson(response, 200, { jsonrpc: '2.0', id, result: { tools: [] } });
      sendJson(response, 400, `{"jsonrpc":"2.0","id":0,"error":${error}}`);
    });
    bin.send(claiming('tools/call', { name: 'good', arguments: { a: 'x' } }, 0));
    await bin.answer(0);
    expect(bin.lines).toEqual([`{"jsonrpc":"2.0","id":0,"error":${error}}`]);
  });
});

describe('cancellation in the stateless era', () => {
  it.each([0, '', -1, '1'])(
    'the cancellation of the request with id %j closes its stream; nothing is posted or emitted',
    async (id) => {
      const closed = makeGate();
      const { server, bin } = await startDual((request, response) => {
        if (request.rpc.method !== 'tools/call') return resultFor(request, response);
        const events = new EventWriter(response);
        events.send({
          jsonrpc: '2.0',
          method: 'notifications/progress',
          params: { progressToken: 0, progress: 1 },
        });
        response.on('close', closed.open);
      });
      bin.send(claiming('tools/call', { name: 'hang' }, id));
      await bin.next(({ method }) => method === 'notifications/progress');
      bin.send(cancel(id));
      await bin.guard(closed.opened, 'the stream to be closed');
      // The same id can be used again.
      bin.send(claiming('prompts/list', {}, id));
      expect(await bin.answer(id)).toMatchObject({ result: {} });
      expect(server.requests.map(({ rpc }) => rpc.method)).toEqual(['tools/call', 'prompts/list']);
      expect(bin.messages).toHaveLength(2);
      expect(bin.stderr).toBe('');
    },
  );

  it('a stateless cancellation compares ids with their type and has no effect if no request has that id', async () => {
    const go = makeGate();
    const { bin, server } = await startDual(async (request, response) => {
      await go.opened;
      await resultFor(request, response);
    });
    bin.send(claiming('tools/call', { name: 'tool' }, 1));
    await server.until((requests) => requests.length === 1);
    for (const id of ['1', 2, null]) bin.send(cancel(id));
    bin.send(claiming('prompts/list', {}, 2));
    await server.until((requests) => requests.length === 2);
    go.open();
    expect(await bin.answer(1)).toMatchObject({ result: {} });
    expect(server.requests).toHaveLength(2);
  });

  it('a stateless call that is cancelled while it waits for a connection is never sent', async () => {
    const held = makeGate();
    const { bin, server } = await startDual(
      async (request, response) => {
        if (request.rpc.id === 'first') await held.opened;
        await resultFor(request, response);
      },
      { args: ['--max-connections', '1'] },
    );
    bin.send(claiming('tools/call', { name: 'tool' }, 'first'));
    await server.until((requests) => requests.length === 1);
    bin.send(claiming('tools/call', { name: 'tool' }, 'waits'));
    bin.send(cancel('waits'));
    bin.send(claiming('tools/list', {}, 'last'));
    held.open();
    await bin.answer('last');
    expect(server.requests.map(({ rpc }) => rpc.id)).toEqual(['first', 'last']);
    expect(bin.messages.map(({ id }) => id)).toEqual(['first', 'last']);
  });

  it('a stateless call is cancelled in the same way when --tool-timeout is over', async () => {
    const closed = makeGate();
    const { bin, server } = await startDual(
      (_request, response) => {
        new EventWriter(response);
        response.on('close', closed.open);
      },
      { args: ['--tool-timeout', '1'] },
    );
    bin.send(claiming('tools/call', { name: 'hang' }, 0));
    expect(await bin.answer(0)).toMatchObject({ error: { data: { reason: 'timeout', mayHaveRun: true } } });
    await bin.guard(closed.opened, 'the stream to be closed');
    expect(server.requests).toHaveLength(1);
  });

  it('the end of the client cancels every open stateless stream', async () => {
    // With a drain time longer than the test.
    const { bin, server } = await startDual((_request, response) => void new EventWriter(response), {
      args: ['--drain-timeout', '60'],
    });
    const ids = [0, 1, 2];
    for (const id of ids) bin.send(claiming('subscriptions/listen', { notifications: {} }, id));
    await server.until((requests) => requests.length === ids.length);
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(server.requests).toHaveLength(ids.length);
  });
});

describe('both eras on one stdio pipe', () => {
  it('session-era and stateless requests work side by side on stdio, each by its own rules', async () => {
    const { server, bin, mcp } = await startDual(resultFor);
    bin.send(claiming('server/discover', {}, 'probe'));
    await bin.answer('probe');
    await bin.initialize({}, 0);
    const ids = Array.from({ length: 20 }, (_, at) => at + 1);
    for (const id of ids) {
      if (id % 2 === 0) bin.send(claiming('tools/call', { name: 'tool' }, id));
      else bin.send({ jsonrpc: '2.0', id, method: 'tools/list' });
    }
    const answers = await Promise.all(ids.map((id) => bin.answer(id)));
    expect(answers.filter(({ result }) => result !== undefined)).toHaveLength(20);
    const session = [...mcp.sessions.keys()][0];
    for (const { headers, rpc, method } of server.requests) {
      if (method !== 'POST' || rpc.method === 'initialize') continue;
      const claims = headers['mcp-method'] !== undefined;
      expect(headers['mcp-session-id']).toBe(claims ? undefined : session);
      expect(headers['mcp-protocol-version']).toBe(claims ? REVISION : '2025-11-25');
    }
    const { text } = server.of('initialize')[0] ?? {};
    expect(text).not.toContain('io.modelcontextprotocol');
    bin.closeStdin();
    await bin.exit();
    expect(mcp.deleted).toHaveLength(1);
  });

  it('a session loss does not affect a stateless request, and the reverse', async () => {
    const { server, bin, mcp } = await startDual((_request, response) => {
      sendJson(response, 404, {
        jsonrpc: '2.0',
        id: null,
        error: { code: -32601, message: 'Method not found' },
      });
    });
    await bin.initialize({}, 0);
    expect(await bin.request('vendor/none', { _meta: ENVELOPE }, 1)).toMatchObject({
      id: 1,
      error: { code: -32601 },
    });
    expect(server.of('initialize')).toHaveLength(1);
    mcp.forgetSessions();
    expect(await bin.request('tools/list', undefined, 2)).toMatchObject({ result: {} });
    expect(server.of('initialize')).toHaveLength(2);
    expect(await bin.request('vendor/none', { _meta: ENVELOPE }, 3)).toMatchObject({
      error: { code: -32601 },
    });
    expect(server.of('initialize')).toHaveLength(2);
  });

  it('a batch with both eras is split: its stateless requests are posted one by one', async () => {
    const { server, bin } = await startDual(resultFor, { protocolVersion: '2025-03-26' });
    await bin.initialize({ protocolVersion: '2025-03-26' }, 'handshake');
    const list = { jsonrpc: '2.0', id: 2, method: 'tools/list' };
    bin.send(`[${JSON.stringify(claiming('tools/call', { name: 'tool' }, 1))},${JSON.stringify(list)}]`);
    expect(await bin.answer(1)).toMatchObject({ result: {} });
    await bin.answer(2);
    const bodies = server.requests.filter(({ text }) => text.includes('tools/')).map(({ json }) => json);
    expect(bodies).toHaveLength(2);
    expect(bodies).toContainEqual(claiming('tools/call', { name: 'tool' }, 1));
  });
});
