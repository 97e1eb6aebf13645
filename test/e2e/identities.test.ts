import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Rpc } from '../support/mcp-answers.ts';
import { makeGate, type RelayedOptions, startInitialized } from '../support/relayed.ts';
import type { RecordedRequest } from '../support/scripted-server.ts';

const keyOf = ({ headers }: RecordedRequest): string =>
  /Credential=([^/]+)/.exec(String(headers.authorization))?.[1] ?? 'nobody';

const keys = (id: string): string => `[default]\naws_access_key_id = ${id}\naws_secret_access_key = secret\n`;

const region = (name: string): string => `[default]\nregion = ${name}\n`;

const names = (answer: Rpc): unknown[] => {
  const { tools } = answer.result as { tools: { name: unknown }[] };
  return tools.map(({ name }) => name);
};

/** A server that binds no session to an identity, and shows each its own tools. */
async function start(args: readonly string[] = [], options: RelayedOptions = {}) {
  const relayed = await startInitialized({
    args,
    env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' },
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

describe('what one identity began', () => {
  it('is no list for the next, that asks while it is on its way', async () => {
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

  it('is no region for the next', async () => {
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
});
