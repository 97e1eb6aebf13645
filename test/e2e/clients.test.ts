import { describe, expect, it } from 'vitest';
import { startEverythingServer } from '../support/everything-server.ts';
import { type SpawningClient, startClientV1, startClientV2 } from '../support/sdk-clients.ts';
import { startSdkServer } from '../support/sdk-servers.ts';
import { signingVerify } from '../support/signing.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const CLIENTS = { v1: startClientV1, v2: startClientV2 } as const;

/** The process is a child of this process until its client has waited for it. */
function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function leaves(client: SpawningClient, proxy: VerifyingProxy): Promise<void> {
  await client.close();
  expect(isRunning(client.pid)).toBe(false);
  expect(proxy.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(1);
  expect(proxy.refused).toEqual([]);
}

describe.each(['v1', 'v2'] as const)('a client of SDK %s', (clientVersion) => {
  const start = CLIENTS[clientVersion];

  describe.each(['v1', 'v2'] as const)('a server of SDK %s', (serverVersion) => {
    async function connect(args: readonly string[] = []) {
      const server = await startSdkServer(serverVersion);
      const proxy = await VerifyingProxy.start(server.url, signingVerify);
      return { server, proxy, client: await start(proxy.url, args) };
    }

    it('an SDK client lists, calls, reads and leaves, and its session is deleted', async () => {
      const { client, server, proxy } = await connect();
      expect(await client.toolNames()).toEqual(['add', 'steps', 'ask', 'sample', 'log', 'hang', 'announce']);
      expect(await client.call('add', { a: 1, b: 2 })).toBe('3');
      expect(await client.read('a:b')).toMatchObject({ contents: [{ uri: 'a:b', text: 'read' }] });
      await client.ping();
      await leaves(client, proxy);
      expect(server.opened).toHaveLength(1);
      expect(server.deleted).toEqual(server.opened);
    });

    it('an SDK client gets progress, logs and server requests during a call, and answers them', async () => {
      const { client, proxy } = await connect(['--max-connections', '1']);
      const steps: number[] = [];
      expect(await client.call('steps', {}, { onProgress: (step) => steps.push(step) })).toBe('stepped');
      expect(steps).toEqual([1, 2, 3]);
      await client.call('log', { data: { n: 0 } });
      await client.hears('log {"n":0}');
      expect(JSON.parse(await client.call('ask'))).toMatchObject({
        action: 'accept',
        content: { name: 'Ada' },
      });
      expect(JSON.parse(await client.call('sample'))).toMatchObject({
        model: 'a-model',
        content: { text: 'sampled' },
      });
      expect(proxy.refused).toEqual([]);
    });

    it('an SDK client gets messages on the standalone stream', async () => {
      const { client } = await connect();
      await client.subscribe('a:b');
      await client.call('announce', { uri: 'a:b' });
      await client.hears('tools changed');
      await client.hears('updated a:b');
      expect(client.received).toEqual(['tools changed', 'updated a:b']);
    });

    it('an SDK client cancels a call, the cancellation reaches the server, and the client goes on', async () => {
      const { client, server } = await connect(['--max-connections', '1']);
      const controller = new AbortController();
      const hanging = client.call('hang', { label: 'one' }, { signal: controller.signal });
      const gone = expect(hanging).rejects.toThrow(/no longer needed/);
      await expect.poll(() => server.hanging).toEqual(['one']);
      controller.abort('no longer needed');
      await gone;
      await expect.poll(() => server.cancelled).toEqual(['one']);
      expect(await client.call('add', { a: 2, b: 2 })).toBe('4');
    });

    it('an SDK client makes many parallel calls over few connections', async () => {
      const { client, proxy } = await connect(['--max-connections', '4']);
      const sums = await Promise.all(Array.from({ length: 40 }, (_, a) => client.call('add', { a, b: 1 })));
      expect(sums).toEqual(Array.from({ length: 40 }, (_, a) => String(a + 1)));
      // Four for requests, and others for the standalone stream and control messages.
      expect(proxy.connections.peak).toBeLessThanOrEqual(7);
      await leaves(client, proxy);
    });
  });

  it('an SDK client works with the reference server: tools, progress, elicitation, sampling, logs, subscriptions', async () => {
    const server = await startEverythingServer();
    const proxy = await VerifyingProxy.start(server.url, signingVerify);
    const client = await start(proxy.url);
    const names = await client.toolNames();
    expect(names).toEqual(expect.arrayContaining(['echo', 'get-sum', 'trigger-sampling-request']));
    expect(await client.call('echo', { message: 'héllo 😀' })).toBe('Echo: héllo 😀');
    const steps: number[] = [];
    const onProgress = (step: number): void => void steps.push(step);
    await client.call('trigger-long-running-operation', { duration: 0.1, steps: 5 }, { onProgress });
    // The SDK's clients drop progress that they read together with the result.
    expect(steps).toEqual([1, 2, 3, 4, 5].slice(0, steps.length));
    expect(await client.call('trigger-elicitation-request')).toMatch(/provided|accept/i);
    expect(await client.call('trigger-sampling-request', { prompt: 'p' })).toMatch(/sampled/);
    await client.logLevel('debug');
    await client.call('toggle-simulated-logging');
    await client.hears(/^log /);
    await client.call('toggle-simulated-logging');
    await client.subscribe('demo://resource/dynamic/text/1');
    await client.call('toggle-subscriber-updates');
    await client.hears('updated demo://resource/dynamic/text/1');
    await client.call('toggle-subscriber-updates');
    const sums = await Promise.all(Array.from({ length: 20 }, (_, a) => client.call('get-sum', { a, b: 1 })));
    expect(sums.map((text) => Number(/is (\d+)/.exec(text)?.[1]))).toEqual(
      Array.from({ length: 20 }, (_, a) => a + 1),
    );
    await leaves(client, proxy);
  });
});
