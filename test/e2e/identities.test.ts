import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Id } from '../../src/core/jsonrpc/message.ts';
import { claiming, startDual } from '../support/claims.ts';
import { openSession, startListening } from '../support/listening.ts';
import { EventWriter, type Rpc, sendJson } from '../support/mcp-answers.ts';
import { makeGate, type RelayedOptions, startInitialized } from '../support/relayed.ts';
import type { RecordedRequest } from '../support/scripted-server.ts';

const NO_KEYS = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' };

const keyOf = ({ headers }: RecordedRequest): string =>
  /Credential=([^/]+)/.exec(String(headers.authorization))?.[1] ?? 'nobody';

const keys = (id: string): string => `[default]\naws_access_key_id = ${id}\naws_secret_access_key = secret\n`;

const region = (name: string): string => `[default]\nregion = ${name}\n`;

const names = (answer: Rpc): unknown[] => {
  const { tools } = answer.result as { tools: { name: unknown }[] };
  return tools.map(({ name }) => name);
};

/** A server that binds no session to an identity, and shows other tools to each identity. */
async function start(args: readonly string[] = [], options: RelayedOptions = {}) {
  const relayed = await startInitialized({
    args,
    env: NO_KEYS,
    files: { '.aws/credentials': keys('AKIDONE') },
    verify: false,
    ...options,
    on: {
      'tools/list': (request, _response, { result }) => result({ tools: [{ name: `of-${keyOf(request)}` }] }),
      ...options.on,
    },
  });
  const { bin, server } = relayed;
  const sessions: string[] = [];
  const numberOf = ({ headers }: RecordedRequest): number => {
    const id = String(headers['mcp-session-id']);
    if (!sessions.includes(id)) sessions.push(id);
    return sessions.indexOf(id) + 1;
  };
  return {
    ...relayed,
    write: (path: string, text: string): void => writeFileSync(join(bin.home, path), text),
    by: (method: string): string[] =>
      server.of(method).map((request) => `${keyOf(request)} ${numberOf(request)}`),
  };
}

describe('after a change of identity', () => {
  it('a tool list that was requested before is not shown to the new identity', async () => {
    const gate = makeGate();
    let asked = 0;
    const { bin, server, write } = await start([], {
      on: {
        'tools/list': async (request, _response, { result }) => {
          if (asked++ === 0) await gate.opened;
          result({ tools: [{ name: `of-${keyOf(request)}` }] });
        },
      },
    });
    bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/list' });
    await server.until(() => server.of('tools/list').length === 1);
    write('.aws/credentials', keys('AKIDTHEOTHER'));
    bin.send({ jsonrpc: '2.0', id: '', method: 'tools/list' });
    await bin.request('ping', undefined, 'both have asked');
    gate.open();
    expect(names(await bin.answer(0))).toEqual(['of-AKIDONE']);
    expect(names(await bin.answer(''))).toEqual(['of-AKIDTHEOTHER']);
  });

  it('calls work in the region of the new identity', async () => {
    const { bin, server, write } = await start([], {
      files: { '.aws/credentials': keys('AKIDONE'), '.aws/config': region('eu-west-1') },
    });
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    write('.aws/credentials', keys('AKIDTHEOTHER'));
    write('.aws/config', region('ap-south-1'));
    await bin.request('tools/call', { name: 'echo', arguments: {} }, '');
    expect(server.of('tools/call').map((request) => [keyOf(request), request.rpc.params?._meta])).toEqual([
      ['AKIDONE', { AWS_REGION: 'eu-west-1' }],
      ['AKIDTHEOTHER', { AWS_REGION: 'ap-south-1' }],
    ]);
  });

  it('a session of the old identity is not used', async () => {
    const { bin, server, write, by } = await start();
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    write('.aws/credentials', keys('AKIDTHEOTHER'));
    const ids = ['', -1, '0', 1];
    for (const id of ids) bin.send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo' } });
    for (const id of ids) expect(await bin.answer(id)).toHaveProperty('result');
    expect(by('tools/call')).toEqual(['AKIDONE 1', ...ids.map(() => 'AKIDTHEOTHER 2')]);
    await server.until(() => by('DELETE').length === 1);
    expect(server.of('initialize').map(keyOf)).toEqual(['AKIDONE', 'AKIDTHEOTHER']);
    expect(by('DELETE')).toEqual(['AKIDTHEOTHER 1']);
    await server.until(() => by('GET').length === 2);
    expect(by('GET')).toEqual(['AKIDONE 1', 'AKIDTHEOTHER 2']);
    expect(bin.stderr).toBe('');
  });

  it('calls of the old identity finish in its session, server requests included', async () => {
    const { bin, by, server, write } = await start();
    bin.send({
      jsonrpc: '2.0',
      id: 0,
      method: 'tools/call',
      params: { name: 'elicit', arguments: { message: 'm' } },
    });
    const question = await bin.next(({ method }) => method === 'elicitation/create');
    write('.aws/credentials', keys('AKIDTHEOTHER'));
    expect(await bin.request('tools/call', { name: 'echo', arguments: {} }, '')).toHaveProperty('result');
    bin.send({ jsonrpc: '2.0', id: question.id, result: { action: 'accept', content: { name: 'me' } } });
    expect(JSON.stringify(await bin.answer(0))).toContain('accept');
    expect(by('tools/call')).toEqual(['AKIDONE 1', 'AKIDTHEOTHER 2']);
    await server.until(() => by('DELETE').length === 1);
    expect(by('DELETE')).toEqual(['AKIDTHEOTHER 1']);
  });

  it('none of several sessions of the old identity is used', async () => {
    const gate = makeGate();
    let calls = 0;
    const { bin, by, write } = await start(['--max-sessions', '3'], {
      on: {
        'tools/call': async (_request, _response, { result }) => {
          if (++calls === 3) gate.open();
          await gate.opened;
          result({ content: [] });
        },
      },
    });
    const call = (id: unknown) => bin.request('tools/call', { name: 'echo', arguments: {} }, id);
    await Promise.all([0, 1, 2].map(call));
    write('.aws/credentials', keys('AKIDTHEOTHER'));
    for (const answer of await Promise.all(['', -1, '2', 3].map(call)))
      expect(answer).toHaveProperty('result');
    const sessionsOf = (key: string): (string | undefined)[] =>
      by('tools/call').flatMap((text) => (text.startsWith(`${key} `) ? [text.split(' ')[1]] : []));
    const before = sessionsOf('AKIDONE');
    expect(new Set(before).size).toBe(3);
    const after = sessionsOf('AKIDTHEOTHER');
    expect(after).toHaveLength(4);
    expect(after.filter((session) => before.includes(session))).toEqual([]);
  });

  it('calls of the old identity finish in each of several sessions', async () => {
    const gate = makeGate();
    const { bin, by, server, write } = await start(['--max-sessions', '3'], {
      on: {
        'tools/call': async (request, _response, { result }) => {
          if (keyOf(request) === 'AKIDONE') await gate.opened;
          result({ content: [] });
        },
      },
    });
    const ids = [0, '', -1];
    for (const id of ids) bin.send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'echo' } });
    await server.until(() => by('tools/call').length === 3);
    write('.aws/credentials', keys('AKIDTHEOTHER'));
    const asked = bin.request('tools/list', undefined, 'list');
    expect(names(await asked)).toEqual(['of-AKIDTHEOTHER']);
    gate.open();
    for (const id of ids) expect(await bin.answer(id)).toHaveProperty('result');
    expect(await bin.request('tools/call', { name: 'echo', arguments: {} }, 'after')).toHaveProperty(
      'result',
    );
    const last = by('tools/call').at(-1);
    expect(last).toMatch(/^AKIDTHEOTHER/);
    expect(by('tools/call').slice(0, 3)).not.toContain(last?.replace('AKIDTHEOTHER', 'AKIDONE'));
  });

  it('a standalone stream that reconnects finds the change too', async () => {
    const streams: (() => void)[] = [];
    const { server, by, write } = await start([], {
      on: {
        GET: (_request, _response, context) => {
          const stream = context.events();
          streams.push(() => stream.end());
          stream.raw('retry: 1\n\n');
        },
      },
    });
    write('.aws/credentials', keys('AKIDTHEOTHER'));
    streams[0]?.();
    await server.until(() => by('GET').length === 2);
    expect(by('GET')).toEqual(['AKIDONE 1', 'AKIDTHEOTHER 2']);
  });
});

it('after a change of identity the session of an HTTP client ends, and the client receives 404', async () => {
  const { bin, server, ask } = await startListening({
    env: NO_KEYS,
    files: { '.aws/credentials': keys('AKIDONE') },
    verify: false,
  });
  const headers = await openSession(ask);
  const call = { jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'echo', arguments: {} } };
  expect((await ask({ headers, body: call })).status).toBe(200);
  writeFileSync(join(bin.home, '.aws/credentials'), keys('AKIDTHEOTHER'));
  const refused = await ask({ headers, body: { ...call, id: '' } });
  expect(refused.status).toBe(404);
  expect(JSON.parse(refused.text)).toMatchObject({ id: '', error: { data: { reason: 'session-lost' } } });
  const fresh = await openSession(ask);
  expect((await ask({ headers: fresh, body: { ...call, id: -1 } })).status).toBe(200);
  expect((await ask({ headers, method: 'DELETE' })).status).toBe(200);
  expect(server.of('tools/call').map(keyOf)).toEqual(['AKIDONE', 'AKIDTHEOTHER']);
});

it('after a change of identity a subscription ends with the first request, and that opens it again', async () => {
  const { bin, server } = await startDual(
    (request, response) => {
      const { id, method, params } = request.rpc;
      if (method !== 'subscriptions/listen') {
        return sendJson(response, 200, { jsonrpc: '2.0', id, result: { content: [] } });
      }
      new EventWriter(response).send({
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: {
          notifications: params?.notifications,
          _meta: { 'io.modelcontextprotocol/subscriptionId': id },
        },
      });
    },
    { env: NO_KEYS, files: { '.aws/credentials': keys('AKIDONE') }, verify: false },
  );
  bin.send(claiming('subscriptions/listen', { notifications: { toolsListChanged: true } }, 0));
  await bin.next(({ method }) => method === 'notifications/subscriptions/acknowledged');
  const call = async (id: Id) => {
    bin.send(claiming('tools/call', { name: 'echo', arguments: {} }, id));
    return bin.answer(id);
  };
  await call('');
  expect(server.of('subscriptions/listen').map(keyOf)).toEqual(['AKIDONE']);
  writeFileSync(join(bin.home, '.aws/credentials'), keys('AKIDTHEOTHER'));
  await call(-1);
  // The client may have missed changes.
  await bin.next(({ method }) => method === 'notifications/tools/list_changed');
  expect(server.of('subscriptions/listen').map(keyOf)).toEqual(['AKIDONE', 'AKIDTHEOTHER']);
  await call(1);
  expect(server.of('tools/call').map(keyOf)).toEqual(['AKIDONE', 'AKIDTHEOTHER', 'AKIDTHEOTHER']);
});
