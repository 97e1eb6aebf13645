import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { createListener, type Layer, OptionsError } from '../../src/library/index.ts';
import { keyOf, profileLines, secretOf } from '../support/accounts.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { send } from '../support/http-client.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { makeTempHome } from '../support/temp-home.ts';

const SCOPE = { service: 'execute-api', region: 'eu-west-1' };
const TOKEN = { ci: 'a-static-token-of-ci-jobs', bob: 'a-static-token-of-bob-the-builder' };
const MAP = {
  identities: [
    { name: 'ci', match: { token: 'ci' }, profile: 'ci' },
    { name: 'bob', match: { token: 'bob' }, profile: 'dev', tools: { readOnly: true } },
  ],
};

it('createListener with identityMap signs for each user, applies the layers of the program, and refuses other callers', async () => {
  const { write, config, env } = await makeTempHome();
  await config(['ci', 'dev'].map((name) => profileLines(name)).join('\n'));
  const keyPairs = ['ci', 'dev'].map((name) => [keyOf(name), { secretAccessKey: secretOf(name) }] as const);
  const verify = { ...SCOPE, keys: Object.fromEntries(keyPairs) };
  const upstream = await ScriptedServer.start(new SessionServer().behaviour, { verify });
  const seen: string[] = [];
  const note: Layer = (next) => (call) => {
    if (call.message.kind === 'request') seen.push(`${call.client.token} ${call.message.method}`);
    return next(call);
  };
  const others = { other: 'a-static-token-of-nobody' };
  const tokens = Object.entries({ ...TOKEN, ...others }).map(([name, secret]) => `${name}=${secret}`);
  const listener = await createListener({
    endpoint: upstream.url,
    ...SCOPE,
    env,
    listenTokenFile: await write('tokens', tokens.join('\n')),
    identityMap: await write('map.json', JSON.stringify(MAP)),
    layers: { before: [note] },
  });
  const server = createServer(listener.handler);
  const url = `http://127.0.0.1:${await listenOnLoopback(server)}/mcp`;
  afterThisTest(async () => {
    await listener.close();
    server.close();
    server.closeAllConnections();
  });
  const initialize = (secret: string) =>
    send(url, {
      headers: { authorization: `Bearer ${secret}` },
      body: {
        ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
      },
    });
  const statuses = [];
  for (const secret of [TOKEN.ci, TOKEN.bob, others.other]) statuses.push((await initialize(secret)).status);
  expect(statuses).toEqual([200, 200, 403]);
  const keys = upstream.requests.map(({ headers }) =>
    /Credential=([^/]+)/.exec(String(headers.authorization))?.at(1),
  );
  expect(keys).toEqual(['ci', 'dev'].map(keyOf));
  expect(upstream.requests.every(({ verification }) => verification?.ok)).toBe(true);
  expect(seen).toEqual(['ci initialize', 'bob initialize']);
});

it('createListener refuses an identityMap that nobody can match, cannot be read, or that excludes credentials', async () => {
  const { write, home } = await makeTempHome();
  const map = await write('map.json', JSON.stringify(MAP));
  const refusalOf = async (options: object): Promise<string> => {
    const endpoint = 'https://x.execute-api.eu-west-1.amazonaws.com/mcp';
    const failure = await createListener({ endpoint, ...options }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(OptionsError);
    return (failure as OptionsError).message;
  };
  const listenToken = TOKEN.ci;
  expect(await refusalOf({ identityMap: map })).toContain('identityMap needs users with names');
  expect(await refusalOf({ identityMap: `${home}/none`, listenToken })).toContain('cannot be used: ENOENT');
  const credentials = { accessKeyId: 'AKID', secretAccessKey: 'x' };
  expect(await refusalOf({ identityMap: map, listenToken, credentials })).toContain(
    'credentials excludes identityMap',
  );
});
