import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startAccounts } from '../support/accounts.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { claiming } from '../support/claims.ts';
import { openSession, startListener } from '../support/listening.ts';
import { EventWriter } from '../support/mcp-answers.ts';
import { type Handler, SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { makeGate, startRelayed } from '../support/relayed.ts';
import { type RecordedRequest, ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify, TEST_KEY } from '../support/signing.ts';
import { makeTlsAuthority } from '../support/tls-authority.ts';

/** The connections of one session over TLS: requests, standalone stream, client's responses. */
const SESSION_CONNECTIONS = 3;

/** Answers `initialize` only when the proxy has opened every connection of the session. */
async function startHandshakeServer(session: SessionServerOptions = {}) {
  const authority = await makeTlsAuthority();
  let connections = (): number => 0;
  const initialize: Handler = async (_request, _response, { fallback }) => {
    await server.until(() => connections() >= SESSION_CONNECTIONS);
    await fallback();
  };
  const mcp = new SessionServer({ ...session, on: { initialize, ...session.on } });
  const server = await ScriptedServer.start(mcp.behaviour, { tls: authority, verify: signingVerify });
  connections = () => server.connections.opened;
  const url = server.url.replace('127.0.0.1', 'localhost');
  return { server, mcp, url, caFile: authority.caFile() };
}

const journal = (requests: readonly RecordedRequest[]): string[] =>
  requests.map(({ method, rpc, connection }) => `${rpc.method ?? method} on ${connection}`);

const callTool = (id: unknown): string =>
  `${JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo', arguments: {} } })}\n`;

const initializing = (capabilities: object): string =>
  [
    {
      id: 'open',
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'c', version: '1' } },
    },
    { method: 'notifications/initialized' },
  ]
    .map((message) => `${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
    .join('');

describe('the first response over TLS', () => {
  it.each([
    ['JSON', 'json'],
    ['an event stream', 'sse'],
  ] as const)(
    'the first response needs one handshake and three round trips if initialize is answered by %s',
    async (_name, answerWith) => {
      const { server, url, caFile } = await startHandshakeServer({ answerWith });
      const bin = BinDriver.start({
        args: [url, ...signingArgs, '--ca-bundle', caFile],
        env: signingEnv,
      });
      bin.write(initializing({}));
      bin.write(callTool(0));
      await bin.answer(0);
      await server.until((requests) => requests.length === 4);
      const seen = journal(server.requests);
      expect(seen.filter((entry) => !entry.startsWith('GET'))).toEqual([
        'initialize on 1',
        'notifications/initialized on 1',
        'tools/call on 1',
      ]);
      expect(seen).toContainEqual(expect.stringMatching(/^GET on [23]$/));
      expect(server.connections.opened).toBe(SESSION_CONNECTIONS);
      expect(bin.stderr).toBe('');
    },
  );

  it('a burst of calls after initialize makes its TLS handshakes at the same time', async () => {
    const calls = 8;
    const gate = makeGate();
    let arrived = 0;
    const hold: Handler = async (_request, _response, { fallback }) => {
      arrived += 1;
      if (arrived === calls) gate.open();
      await gate.opened;
      await fallback();
    };
    const { server, url, caFile } = await startHandshakeServer({ on: { 'tools/call': hold } });
    const bin = BinDriver.start({
      args: [url, ...signingArgs, '--ca-bundle', caFile, '--max-connections', `${calls}`],
      env: signingEnv,
    });
    bin.write(initializing({}));
    for (let id = 0; id < calls; id++) bin.write(callTool(id));
    for (let id = 0; id < calls; id++) await bin.answer(id);
    expect(server.connections.opened).toBe(SESSION_CONNECTIONS + calls - 1);
  });

  it('the first response at the listener uses the connection that initialize opened', async () => {
    const { server, url, caFile } = await startHandshakeServer();
    const { ask } = await startListener(url, { args: ['--ca-bundle', caFile] });
    const headers = await openSession(ask);
    await ask({ headers, body: callTool(-1).trimEnd() });
    expect(journal(server.requests)).toEqual([
      'initialize on 1',
      'notifications/initialized on 1',
      'tools/call on 1',
    ]);
    expect(server.connections.opened).toBe(SESSION_CONNECTIONS);
  });

  it('the first response to a client of revision 2026-07-28 needs one connection', async () => {
    const authority = await makeTlsAuthority();
    const server = await ScriptedServer.start(
      (request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ jsonrpc: '2.0', id: request.rpc.id, result: { content: [] } }));
      },
      { tls: authority, verify: signingVerify },
    );
    const bin = BinDriver.start({
      args: [server.url, ...signingArgs, '--ca-bundle', authority.caFile()],
      env: signingEnv,
    });
    bin.send(claiming('server/discover', {}, ''));
    await bin.answer('');
    bin.send(claiming('prompts/get', { name: 'hello' }, 0));
    await bin.answer(0);
    expect(server.connections.opened).toBe(1);
  });
});

describe('a session that replaces a lost one', () => {
  it('a replacement session is opened on connections that are already open', async () => {
    const { server, mcp, bin } = await startRelayed({ args: ['--max-connections', '1'] });
    await bin.initialize({ capabilities: {} }, 'handshake');
    await bin.request('tools/list', {}, 0);
    const before = server.requests.length;
    mcp.sessions.clear();
    await bin.request('tools/list', {}, '');
    const posts = server.requests.slice(before).filter(({ method }) => method === 'POST');
    const [lost] = posts;
    expect(posts.map(({ rpc }) => rpc.method)).toEqual([
      'tools/list',
      'initialize',
      'notifications/initialized',
      'tools/list',
    ]);
    expect(new Set(posts.map(({ connection }) => connection))).toEqual(new Set([lost?.connection]));
  });
});

describe('the session of a second profile', () => {
  it('the session of a second profile sends initialize, initialized and the call on one connection', async () => {
    const accounts = await startAccounts({ profiles: ['prod', 'dev'] });
    await accounts.bin.initialize({ capabilities: {} }, 'handshake');
    await accounts.bin.request('tools/list', {}, 'list');
    await accounts.call('echo', { aws_profile: 'dev', text: 'b' }, 0);
    const connections = ['initialize', 'notifications/initialized', 'tools/call'].flatMap((method) =>
      accounts.of('dev', method).map(({ request }) => request.connection),
    );
    expect(connections).toHaveLength(3);
    expect(new Set(connections).size).toBe(1);
  });
});

describe('the first connection', () => {
  it('the first connection is dialled while credentials are still being resolved', async () => {
    const mcp = new SessionServer();
    const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
    const keys = JSON.stringify({
      Version: 1,
      AccessKeyId: TEST_KEY.accessKeyId,
      SecretAccessKey: TEST_KEY.secretAccessKey,
      SessionToken: TEST_KEY.sessionToken,
    });
    const script = `const fs = require('fs'); const wait = () => fs.existsSync(process.argv[1]) ? console.log(process.argv[2]) : setTimeout(wait, 5); wait();`;
    const process_ = `${process.execPath} helper.cjs`;
    const bin = BinDriver.start({
      args: [server.url, ...signingArgs, '--profile', 'slow'],
      files: { '.aws/config': `[profile slow]\ncredential_process = sh -c "cd $HOME && ${process_}"\n` },
    });
    writeFileSync(
      join(bin.home, 'helper.cjs'),
      script.replace('process.argv[1]', '"released"').replace('process.argv[2]', JSON.stringify(keys)),
    );
    const answered = bin.initialize({}, 0);
    await server.until(() => server.connections.opened === 1);
    expect(server.requests).toHaveLength(0);
    writeFileSync(join(bin.home, 'released'), '');
    await answered;
    expect(server.requests[0]).toMatchObject({ connection: 1 });
  });
});

describe('a standalone stream whose headers have not arrived', () => {
  const startHolding = async (capabilities: object) => {
    const streaming = makeGate();
    const relayed = await startRelayed({
      on: {
        GET: async (_request, _response, { fallback }) => {
          await streaming.opened;
          await fallback();
        },
      },
    });
    relayed.bin.write(initializing(capabilities));
    relayed.bin.write(callTool(0));
    await relayed.server.until(() => relayed.server.of('GET').length === 1);
    return { ...relayed, streaming };
  };

  it.each([[{ elicitation: {} }], [{ sampling: {} }], [{ roots: {} }]])(
    "a call waits for the standalone stream's headers if the client can answer server requests: %j",
    async (capabilities) => {
      const { server, bin, streaming } = await startHolding(capabilities);
      await bin.request('tools/list', {}, 'unheld');
      expect(server.of('tools/call')).toHaveLength(0);
      streaming.open();
      await bin.answer(0);
    },
  );

  it("a call does not wait for the standalone stream's headers if the client declares no such capability", async () => {
    const { bin, streaming } = await startHolding({ vendor: {} });
    await bin.answer(0);
    streaming.open();
  });

  it("a call that waits for the standalone stream's headers is dropped when its client cancels it", async () => {
    const { server, bin, streaming } = await startHolding({ roots: {} });
    bin.notify('notifications/cancelled', { requestId: 0 });
    await bin.request('tools/list', {}, 'after');
    streaming.open();
    await server.until(() => server.of('GET').length === 1);
    await bin.request('tools/list', {}, 'later');
    expect(server.of('tools/call')).toHaveLength(0);
    expect(server.of('notifications/cancelled')).toHaveLength(0);
  });

  it('a server request during the first call arrives on the standalone stream', async () => {
    const { bin } = await startRelayed({
      on: {
        'tools/call': (_request, response, { server, id }) => {
          server.broadcast({
            jsonrpc: '2.0',
            id: 0,
            method: 'elicitation/create',
            params: { message: 'sure?', requestedSchema: { type: 'object', properties: {} } },
          });
          new EventWriter(response).send({ jsonrpc: '2.0', id, result: { content: [] } });
          response.end();
        },
      },
    });
    bin.write(initializing({ elicitation: {} }));
    bin.write(callTool(7));
    const asked = await bin.next(({ method }) => method === 'elicitation/create');
    bin.send({ jsonrpc: '2.0', id: asked.id, result: { action: 'decline' } });
    await bin.answer(7);
  });
});
