import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expect, it } from 'vitest';
import { startEverythingServer } from './everything-server.ts';
import { signedFetch } from './signed-fetch.ts';
import { signingVerify, TEST_KEY } from './signing.ts';
import { VerifyingProxy } from './verifying-proxy.ts';

it('the verifying proxy lets only a signing client through to the reference server, streams included', async () => {
  const everything = await startEverythingServer();
  const proxy = await VerifyingProxy.start(everything.url, signingVerify);
  expect((await fetch(proxy.url, { method: 'POST', body: '{}' })).status).toBe(403);

  const client = new Client({ name: 'test', version: '0.0.0' });
  const fetch_ = signedFetch(TEST_KEY, signingVerify.service, signingVerify.region);
  const transport = new StreamableHTTPClientTransport(new URL(proxy.url), { fetch: fetch_ });
  await client.connect(transport as Parameters<Client['connect']>[0]);
  const steps: number[] = [];
  await client.callTool(
    { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 2 } },
    undefined,
    {
      onprogress: ({ progress }) => steps.push(progress),
    },
  );
  expect(steps).toEqual([1, 2]);
  await client.close();
  expect(proxy.refused).toHaveLength(1);
  expect(proxy.requests.length).toBeGreaterThan(3);
});
