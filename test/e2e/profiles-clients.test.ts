import { describe, expect, it } from 'vitest';
import { keyOf, profileLines, type Seen, secretOf, startAccounts } from '../support/accounts.ts';
import { BinDriver } from '../support/bin-driver.ts';
import type { Behaviour } from '../support/scripted-server.ts';
import { type RealClient, startClientV1, startClientV2 } from '../support/sdk-clients.ts';
import { type SdkServer, startSdkServer } from '../support/sdk-servers.ts';
import { signingArgs } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const PROFILES = ['prod', 'dev'];

interface Running {
  readonly client: RealClient;
  readonly server: SdkServer;
  readonly front: VerifyingProxy;
}

async function start(client: typeof startClientV1, generation: 'v1' | 'v2'): Promise<Running> {
  const home = await makeTempHome();
  const config = await home.config(PROFILES.map((name) => profileLines(name)).join(''));
  const server = await startSdkServer(generation);
  const front = await VerifyingProxy.start(server.url, {
    service: 'execute-api',
    region: 'eu-west-1',
    keys: Object.fromEntries(PROFILES.map((name) => [keyOf(name), { secretAccessKey: secretOf(name) }])),
  });
  const started = await client(front.url, ['--profile', ...PROFILES], { AWS_CONFIG_FILE: config });
  return { client: started, server, front };
}

describe.each([
  ['v1', startClientV1],
  ['v2', startClientV2],
] as const)('an SDK client of generation %s', (_client, startClient) => {
  it.each(['v1', 'v2'] as const)(
    'a second profile has all features of a server of SDK generation %s',
    async (generation) => {
      const { client, server, front } = await start(startClient, generation);
      await client.toolNames();
      const dev = { aws_profile: 'dev' };
      expect(await client.call('add', { a: 1, b: 2, ...dev })).toBe('3');
      expect(await client.call('add', { a: 3, b: 4 })).toBe('7');
      expect(server.opened).toHaveLength(2);

      const steps: number[] = [];
      expect(await client.call('steps', dev, { onProgress: (step) => steps.push(step) })).toBe('stepped');
      expect(steps).toEqual([1, 2, 3]);
      // Both run together: the server requests of the two servers have the same ids.
      const asked = await Promise.all([
        client.call('ask', dev),
        client.call('ask'),
        client.call('sample', dev),
      ]);
      expect(asked.map((text) => JSON.parse(text))).toMatchObject([
        { action: 'accept' },
        { action: 'accept' },
        { content: { text: 'sampled' } },
      ]);
      await client.call('log', { data: 'from dev', ...dev });
      await client.hears('log "from dev"');

      const leaving = new AbortController();
      const hanging = client.call('hang', { label: 'dev', ...dev }, { signal: leaving.signal });
      await expect.poll(() => server.hanging).toEqual(['dev']);
      leaving.abort();
      await expect(hanging).rejects.toThrow();
      await expect.poll(() => server.cancelled).toEqual(['dev']);
      expect(await client.call('add', { a: 5, b: 6, ...dev })).toBe('11');

      expect(front.refused).toEqual([]);
      const keys = new Set(
        front.requests.map(({ verification }) => verification.ok && verification.accessKeyId),
      );
      expect(keys).toEqual(new Set(PROFILES.map(keyOf)));
      await client.close();
      await expect.poll(() => server.deleted.length).toBe(2);
    },
  );
});

describe('a request of the stateless era with profiles', () => {
  const claim = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };

  it('a stateless request names its profile like any other and needs no session of it', async () => {
    const { bin, by, of } = await startAccounts({
      profiles: PROFILES,
      files: {
        '.aws/config':
          profileLines('prod', 'region = us-west-2\n') + profileLines('dev', 'region = eu-north-1\n'),
      },
      before: ({ method }) =>
        method === 'tools/call' || method === 'tools/list'
          ? (request, response) => {
              const tools = [{ name: 'tool', inputSchema: { type: 'object' } }];
              const result = method === 'tools/list' ? { tools } : { content: [] };
              response.writeHead(200, { 'content-type': 'application/json' });
              response.end(JSON.stringify({ jsonrpc: '2.0', id: request.rpc.id, result }));
            }
          : undefined,
    });
    const call = (args: Record<string, unknown>, id: unknown) =>
      bin.request('tools/call', { name: 'tool', arguments: args, _meta: claim }, id);
    const { result } = await bin.request('tools/list', { _meta: claim }, 'list');
    expect(JSON.stringify(result)).toContain('"enum":["prod","dev"]');
    expect(await call({ aws_profile: 'dev' }, 0)).toHaveProperty('result');
    expect(await call({}, '')).toHaveProperty('result');
    expect(await call({ aws_profile: 'staging' }, -1)).toMatchObject({ error: { code: -31018 } });
    expect(by('tools/call')).toEqual(['AKIDDEV', 'AKIDPROD']);
    expect(by('initialize')).toEqual([]);
    expect(of('dev', 'tools/call')[0]?.params).toEqual({
      name: 'tool',
      arguments: {},
      _meta: { ...claim, AWS_REGION: 'eu-north-1' },
    });
    expect(bin.stderr).toBe('');
  });
});

/** Two runs: the second has the snapshot of the first, and `before` applies to the second only. */
async function startAgain(before: (seen: Seen) => Behaviour | undefined = () => undefined) {
  const { home } = await makeTempHome();
  const env = { XDG_CACHE_HOME: home };
  const args = ['--lazy'];
  let second = false;
  const { bin, by, server, until } = await startAccounts({
    profiles: PROFILES,
    args,
    env,
    before: (seen) => (second ? before(seen) : undefined),
  });
  await bin.initialize({}, 'handshake');
  const { result: list } = await bin.request('tools/list', {}, 'list');
  bin.closeStdin();
  await bin.exit();
  second = true;
  const again = BinDriver.start({
    args: [server.url, ...signingArgs, '--profile', ...PROFILES, ...args],
    env,
    files: { '.aws/config': PROFILES.map((name) => profileLines(name)).join('') },
  });
  await again.initialize({}, 'handshake');
  const call = (given: Record<string, unknown>, id: unknown) =>
    again.request('tools/call', { name: 'echo', arguments: given }, id);
  return { again, list, by, until, call };
}

describe('--lazy with profiles', () => {
  it('a start from a snapshot shows the argument aws_profile and opens the session that the first call names', async () => {
    const { again, list, by, call } = await startAgain();
    expect(await again.request('tools/list', {}, 'list')).toMatchObject({ result: list });
    expect(by('initialize')).toEqual(['AKIDPROD']);
    expect(await call({ aws_profile: 'dev' }, 0)).toHaveProperty('result');
    expect(by('initialize')).toEqual(['AKIDPROD', 'AKIDDEV']);
    expect(by('tools/call')).toEqual(['AKIDDEV 2']);
    // The default profile's session opens when a call needs it; the other one stays as it is.
    expect(await call({}, '')).toHaveProperty('result');
    expect(await call({ aws_profile: 'dev' }, -1)).toHaveProperty('result');
    expect(by('initialize')).toEqual(['AKIDPROD', 'AKIDDEV', 'AKIDPROD']);
    expect(by('tools/call')).toEqual(['AKIDDEV 2', 'AKIDPROD 3', 'AKIDDEV 2']);
    expect(again.stderr).toBe('');
    again.closeStdin();
    await again.exit();
    expect(by('DELETE').slice(1).sort()).toEqual(['AKIDDEV 2', 'AKIDPROD 3']);
  });

  it.each([
    ['refuses', ((_request, response) => void response.writeHead(400).end()) satisfies Behaviour],
    ['never opens', (() => undefined) satisfies Behaviour],
  ])(
    "a call with another profile works from a snapshot although the default profile's server %s its session",
    async (_what, broken) => {
      const { call, by, until, again } = await startAgain(({ key, method }) =>
        key === keyOf('prod') && method === 'initialize' ? broken : undefined,
      );
      const own = call({}, 'own');
      own.catch(() => undefined);
      await until('prod', 'initialize', 2);
      expect(await call({ aws_profile: 'dev' }, 0)).toHaveProperty('result');
      again.send({
        jsonrpc: '2.0',
        id: -1,
        method: 'tools/call',
        params: { name: 'sleep', arguments: { ms: 10_000, aws_profile: 'dev' } },
      });
      await until('dev', 'tools/call', 2);
      again.notify('notifications/cancelled', { requestId: -1 });
      await until('dev', 'notifications/cancelled');
      expect(by('tools/call').every((one) => one.startsWith(keyOf('dev')))).toBe(true);
    },
  );
});
