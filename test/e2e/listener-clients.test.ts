import { describe, expect, it } from 'vitest';
import { startEverythingServer } from '../support/everything-server.ts';
import { startListener } from '../support/listening.ts';
import { connectClientV1, connectClientV2 } from '../support/sdk-clients.ts';
import { startSdkServer } from '../support/sdk-servers.ts';
import { signingVerify } from '../support/signing.ts';
import { type Eras, startSuiteServer } from '../support/suite-server/server.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const CLIENTS = {
  v1: connectClientV1,
  v2: (url: string) => connectClientV2(url, 'legacy'),
} as const;

/** The listener in front of a server that requires every request to be signed. */
async function listenerTo(target: string, args: readonly string[] = []) {
  const proxy = await VerifyingProxy.start(target, signingVerify);
  return { proxy, ...(await startListener(proxy.url, { args })) };
}

describe.each(['v1', 'v2'] as const)('a client of SDK %s at the listener', (clientVersion) => {
  const connect = CLIENTS[clientVersion];

  describe.each(['v1', 'v2'] as const)('a server of SDK %s', (serverVersion) => {
    async function start(args: readonly string[] = []) {
      const server = await startSdkServer(serverVersion);
      const { proxy, url } = await listenerTo(server.url, args);
      return { server, proxy, client: await connect(url) };
    }

    it('an SDK client at the listener lists, calls and reads', async () => {
      const { client, server, proxy } = await start();
      expect(await client.toolNames()).toEqual(['add', 'steps', 'ask', 'sample', 'log', 'hang', 'announce']);
      expect(await client.call('add', { a: 1, b: 2 })).toBe('3');
      expect(await client.read('a:b')).toMatchObject({ contents: [{ uri: 'a:b', text: 'read' }] });
      await client.ping();
      expect([server.opened.length, proxy.refused]).toEqual([1, []]);
    });

    it('an SDK client at the listener gets progress, logs and server requests during a call, and answers them', async () => {
      const { client } = await start(['--max-connections', '1']);
      const steps: number[] = [];
      expect(await client.call('steps', {}, { onProgress: (step) => steps.push(step) })).toBe('stepped');
      expect(steps).toEqual([1, 2, 3]);
      await client.call('log', { data: { n: 0 } });
      await client.hears('log {"n":0}');
      expect(JSON.parse(await client.call('ask'))).toMatchObject({ content: { name: 'Ada' } });
      expect(JSON.parse(await client.call('sample'))).toMatchObject({ content: { text: 'sampled' } });
    });

    it('an SDK client at the listener gets messages on the standalone stream', async () => {
      const { client, proxy } = await start();
      // The SDK's clients do not wait for the stream to open; what a server sends before that is lost.
      await expect.poll(() => proxy.requests.some(({ method }) => method === 'GET')).toBe(true);
      await client.subscribe('a:b');
      await client.call('announce', { uri: 'a:b' });
      await client.hears('tools changed');
      await client.hears('updated a:b');
    });

    it('an SDK client at the listener cancels a call, and the connection is free for the next call', async () => {
      const { client, server } = await start(['--max-connections', '1']);
      const controller = new AbortController();
      const hanging = client.call('hang', { label: 'one' }, { signal: controller.signal });
      const gone = expect(hanging).rejects.toThrow(/no longer needed/);
      await expect.poll(() => server.hanging).toEqual(['one']);
      controller.abort('no longer needed');
      await gone;
      await expect.poll(() => server.cancelled).toEqual(['one']);
      expect(await client.call('add', { a: 2, b: 2 })).toBe('4');
    });
  });

  it('two SDK clients at the listener work side by side with the reference server', async () => {
    const server = await startEverythingServer();
    const { url, proxy } = await listenerTo(server.url);
    const clients = await Promise.all([connect(url), connect(url), connect(url)]);
    const sums = await Promise.all(
      clients.flatMap((client, b) => Array.from({ length: 10 }, (_, a) => client.call('get-sum', { a, b }))),
    );
    expect(sums.map((text) => Number(/is (\d+)/.exec(text)?.[1]))).toEqual(
      clients.flatMap((_, b) => Array.from({ length: 10 }, (_none, a) => a + b)),
    );
    const [first] = clients;
    expect(await first?.call('trigger-elicitation-request')).toMatch(/provided|accept/i);
    expect(await first?.call('trigger-sampling-request', { prompt: 'p' })).toMatch(/sampled/);
    expect(proxy.refused).toEqual([]);
  });
});

const NEW = '2026-07-28';

describe('an SDK client of both eras at the listener', () => {
  it.each<[mode: 'auto' | 'legacy' | 'pinned', eras: Eras]>([
    ['legacy', 'session'],
    ['legacy', 'both'],
    ['auto', 'session'],
    ['auto', 'stateless'],
    ['auto', 'both'],
    ['pinned', 'stateless'],
    ['pinned', 'both'],
  ])(
    'an SDK client in mode %s works through the listener at a server of %s revisions',
    async (mode, eras) => {
      const server = await startSuiteServer(eras);
      const { url, proxy } = await listenerTo(server.url);
      const client = await connectClientV2(url, mode === 'pinned' ? { pin: NEW } : mode);
      expect(await client.toolNames()).toContain('test_simple_text');
      expect(await client.call('test_simple_text')).toMatch(/\w/);
      expect(proxy.refused).toEqual([]);
    },
  );

  it("a client of one era at a server of the other gets the server's error through the listener", async () => {
    const old = await listenerTo((await startSuiteServer('session')).url);
    await expect(connectClientV2(old.url, { pin: NEW })).rejects.toThrow();
    const young = await listenerTo((await startSuiteServer('stateless')).url);
    await expect(connectClientV2(young.url, 'legacy')).rejects.toThrow();
  });

  it('session-era and stateless clients work through one listener at the same time', async () => {
    const { url, proxy } = await listenerTo((await startSuiteServer('both')).url);
    const [old, young] = await Promise.all([connectClientV1(url), connectClientV2(url, { pin: NEW })]);
    const texts = await Promise.all(
      [old, young, old, young].map((client) => client.call('test_simple_text')),
    );
    expect(new Set(texts).size).toBe(1);
    expect(proxy.refused).toEqual([]);
  });
});
