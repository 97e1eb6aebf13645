import { describe, expect, it } from 'vitest';
import { claiming } from '../support/claims.ts';
import { openSession, startListening } from '../support/listening.ts';
import { EventWriter, sendJson } from '../support/mcp-answers.ts';
import { errorOf } from '../support/mcp-behaviours.ts';
import { startInitialized, startRelayed } from '../support/relayed.ts';
import type { Behaviour, RecordedRequest } from '../support/scripted-server.ts';
import { signingVerify } from '../support/signing.ts';

const ID = 'mcp-session-id';
const RUNTIME_ID = 'x-amzn-bedrock-agentcore-runtime-session-id';
const AGENT_CORE = {
  args: ['--service', 'bedrock-agentcore'],
  verify: { ...signingVerify, service: 'bedrock-agentcore' },
};

/** A platform that starts a microVM for each request without an id, and returns the new id. */
function platform() {
  const gone = new Set<unknown>();
  const runs: unknown[] = [];
  let machines = 0;
  const behaviour: Behaviour = ({ rpc, headers }, response) => {
    const id = headers[ID] ?? `vm-${++machines}`;
    if (gone.has(id)) return sendJson(response, 404, errorOf(null, -32001, 'Session not found'));
    response.setHeader(ID, String(id));
    if (rpc.id === undefined) return void response.writeHead(202).end();
    runs.push(rpc.id);
    const tools = [{ name: 'x', inputSchema: { type: 'object' } }];
    return sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: { content: [], tools } });
  };
  return { behaviour, gone, runs };
}

const idsOf = (requests: readonly RecordedRequest[]): unknown[] => requests.map(({ headers }) => headers[ID]);

describe('the session id that AgentCore Runtime returns', () => {
  it('the runtime session id is sent with every later request of a client of revision 2026-07-28', async () => {
    const { behaviour, runs } = platform();
    const { server, bin } = await startRelayed({ ...AGENT_CORE, before: () => behaviour });
    for (const id of [0, '', -1]) {
      bin.send(claiming('tools/call', { name: 'x', arguments: {} }, id));
      await bin.answer(id);
    }
    bin.send(claiming('notifications/roots/list_changed'));
    await server.until(() => server.requests.length === 4);
    expect(idsOf(server.requests)).toEqual([undefined, 'vm-1', 'vm-1', 'vm-1']);
    expect(runs).toEqual([0, '', -1]);
  });

  it('the runtime session id is sent with every later request of a session-era client that never initializes', async () => {
    const { behaviour } = platform();
    const { server, bin } = await startRelayed({ ...AGENT_CORE, before: () => behaviour });
    await bin.request('tools/call', { name: 'x' }, 0);
    await bin.request('tools/call', { name: 'x' }, '');
    expect(idsOf(server.requests)).toEqual([undefined, 'vm-1']);
  });

  it.each(['claims 2026-07-28', 'never initializes'])(
    'a lost runtime session id is dropped, and the call of a client that %s runs once on another microVM',
    async (client) => {
      const { behaviour, gone, runs } = platform();
      const { server, bin } = await startRelayed({ ...AGENT_CORE, before: () => behaviour });
      const call = (id: number) => {
        const plain = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'x' } };
        bin.send(client === 'never initializes' ? plain : claiming('tools/call', { name: 'x' }, id));
        return bin.answer(id);
      };
      await call(1);
      gone.add('vm-1');
      expect(await call(2)).toHaveProperty('result');
      expect(await call(3)).toHaveProperty('result');
      expect(idsOf(server.requests)).toEqual([undefined, 'vm-1', undefined, 'vm-2']);
      expect(runs).toEqual([1, 2, 3]);
    },
  );

  it('a runtime session id belongs to the profile of its call and is never sent for another profile', async () => {
    const key = (name: string): string =>
      `[${name}]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\naws_session_token = EXAMPLE-SESSION-TOKEN\n`;
    const { behaviour } = platform();
    const { server, bin } = await startRelayed({
      verify: AGENT_CORE.verify,
      args: [...AGENT_CORE.args, '--profile', 'dev', 'prod'],
      files: { '.aws/credentials': key('dev') + key('prod') },
      before: () => behaviour,
    });
    bin.send(claiming('tools/list', {}, 'list'));
    await bin.answer('list');
    for (const [at, profile] of ['dev', 'prod', 'dev', 'prod'].entries()) {
      bin.send(claiming('tools/call', { name: 'x', arguments: { aws_profile: profile } }, at));
      await bin.answer(at);
    }
    expect(idsOf(server.of('tools/call'))).toEqual(['vm-1', undefined, 'vm-1', 'vm-2']);
  });

  it('--header replaces the runtime session id', async () => {
    const { behaviour } = platform();
    const { server, bin } = await startRelayed({
      ...AGENT_CORE,
      args: [...AGENT_CORE.args, '--header', 'Mcp-Session-Id: mine'],
      before: () => behaviour,
    });
    for (const id of [0, 1]) {
      bin.send(claiming('tools/call', { name: 'x' }, id));
      await bin.answer(id);
    }
    expect(idsOf(server.requests)).toEqual(['mine', 'mine']);
  });

  it('a runtime session id is not kept for other services', async () => {
    const { behaviour } = platform();
    const { server, bin } = await startRelayed({ before: () => behaviour });
    for (const id of [0, 1]) {
      bin.send(claiming('tools/call', { name: 'x' }, id));
      await bin.answer(id);
    }
    expect(idsOf(server.requests)).toEqual([undefined, undefined]);
  });

  it('a runtime session id belongs to the session of its listener client', async () => {
    const { ask, server } = await startListening({
      ...AGENT_CORE,
      session: {
        on: {
          initialize: (_request, response, context) => {
            response.setHeader(RUNTIME_ID, `runtime-${String(context.id)}`);
            return context.fallback();
          },
        },
      },
    });
    const one = await openSession(ask, 1);
    const two = await openSession(ask, 2);
    const ping = { jsonrpc: '2.0', id: 0, method: 'ping' };
    await ask({ headers: one, body: ping });
    await ask({ headers: two, body: ping });
    expect(server.of('ping').map(({ headers }) => headers[RUNTIME_ID])).toEqual(['runtime-1', 'runtime-2']);
    expect(server.of('initialize').map(({ headers }) => headers[RUNTIME_ID])).toEqual([undefined, undefined]);
  });
});

/** Sets the cookies of a load balancer, and records which ones return. */
const balanced =
  (next: Behaviour): Behaviour =>
  (request, response) => {
    if (request.rpc.method === 'initialize') {
      const node = `node-of-${String(request.rpc.id)}`;
      response.setHeader('set-cookie', [
        `AWSALB=${node}; Expires=Fri, 31 Dec 2100 00:00:00 GMT; Path=/`,
        'AWSALBCORS=secure-one; Path=/; SameSite=None; Secure',
        'other=1; Domain=example.com',
        'elsewhere=1; Path=/another',
        'not a cookie',
      ]);
    }
    return next(request, response);
  };

const cookiesOf = (requests: readonly RecordedRequest[]): unknown[] =>
  requests.map(({ method, rpc, headers }) => [rpc.method ?? method, headers.cookie]);

describe('cookies that the endpoint sets', () => {
  it('cookies are sent with each POST, GET and DELETE of their session only, and are not logged', async () => {
    const { server, bin } = await startInitialized({ before: balanced, args: ['--log-level', 'trace'] });
    await bin.request('ping', {}, 0);
    bin.closeStdin();
    await bin.exit();
    const cookie = 'AWSALB=node-of-handshake; AWSALBCORS=secure-one';
    expect(cookiesOf(server.requests)).toEqual([
      ['initialize', undefined],
      ['notifications/initialized', cookie],
      ['GET', cookie],
      ['ping', cookie],
      ['DELETE', cookie],
    ]);
    expect(bin.stderr).not.toContain('node-of-handshake');
    expect(bin.stderr).not.toContain('secure-one');
  });

  it('cookies change when the server changes them, and expire', async () => {
    let at = 0;
    const { server, bin } = await startInitialized({
      on: {
        ping: (_request, response, context) => {
          const changes = ['AWSALB=b; Path=/', 'AWSALB=; Path=/; Max-Age=0', ''];
          const change = changes[at++];
          if (change) response.setHeader('set-cookie', change);
          return context.result({});
        },
      },
    });
    for (const id of [1, 2, 3]) await bin.request('ping', {}, id);
    expect(server.of('ping').map(({ headers }) => headers.cookie)).toEqual([
      undefined,
      'AWSALB=b',
      undefined,
    ]);
  });

  it('cookies end with a lost session: the new session is opened without them', async () => {
    const { server, mcp, bin } = await startInitialized({ before: balanced });
    mcp.forgetSessions();
    expect(await bin.request('tools/call', { name: 'echo', arguments: { text: 'x' } }, 0)).toHaveProperty(
      'result',
    );
    const [, reopened] = server.of('initialize');
    expect(reopened?.headers.cookie).toBeUndefined();
    expect(server.of('tools/call').at(-1)?.headers.cookie).toContain('AWSALB=node-of-mcp-sigv4-proxy');
  });

  it('cookies are sent beside those of --header', async () => {
    const { server, bin } = await startInitialized({
      before: balanced,
      args: ['--header', 'Cookie: mine=1'],
    });
    await bin.request('ping', {}, 0);
    expect(server.of('ping')[0]?.headers.cookie).toBe(
      'mine=1; AWSALB=node-of-handshake; AWSALBCORS=secure-one',
    );
  });

  it('cookies belong to one client session of the listener and never reach a client', async () => {
    const { ask, server } = await startListening();
    const plain = server.behaviour;
    server.behaviour = balanced(plain);
    const one = await openSession(ask, 'one');
    const two = await openSession(ask, 'two');
    const ping = { jsonrpc: '2.0', id: 0, method: 'ping' };
    for (const headers of [one, two]) {
      const { headers: got } = await ask({ headers, body: ping });
      expect(got).not.toHaveProperty('set-cookie');
      await ask({ method: 'DELETE', headers });
    }
    const suffix = '; AWSALBCORS=secure-one';
    expect(cookiesOf(server.requests)).toEqual([
      ['initialize', undefined],
      ['notifications/initialized', `AWSALB=node-of-one${suffix}`],
      ['initialize', undefined],
      ['notifications/initialized', `AWSALB=node-of-two${suffix}`],
      ['ping', `AWSALB=node-of-one${suffix}`],
      ['DELETE', `AWSALB=node-of-one${suffix}`],
      ['ping', `AWSALB=node-of-two${suffix}`],
      ['DELETE', `AWSALB=node-of-two${suffix}`],
    ]);
  });
});

describe('a server request on the stream of initialize', () => {
  it('a server request on the stream of initialize is answered in the session that the response names', async () => {
    const { server, bin } = await startRelayed({
      on: {
        initialize: (_request, response, context) => {
          response.setHeader(ID, 's-early');
          context.server.sessions.set('s-early', {
            id: 's-early',
            initializeParams: {},
            initialized: false,
            streams: new Set(),
          });
          const events = new EventWriter(response);
          void context.ask(events, 'roots/list').then(() => {
            const result = {
              protocolVersion: '2025-11-25',
              capabilities: {},
              serverInfo: { name: 'early', version: '1' },
            };
            events.send({ jsonrpc: '2.0', id: context.id, result });
            events.end();
          });
        },
      },
    });
    const opened = bin.initialize({ capabilities: { roots: {} } }, '');
    const asked = await bin.next(({ method }) => method === 'roots/list');
    bin.send({ jsonrpc: '2.0', id: asked.id, result: { roots: [] } });
    expect(await opened).toMatchObject({ id: '', result: { serverInfo: { name: 'early' } } });
    const response = server.requests.find(({ rpc }) => rpc.method === undefined && rpc.result !== undefined);
    expect(response?.headers[ID]).toBe('s-early');
  });
});
