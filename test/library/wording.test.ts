import { createServer } from 'node:http';
import { Client } from '@modelcontextprotocol/client';
import { expect, it } from 'vitest';
import {
  createListener,
  createProxy,
  createSigV4Fetch,
  Events,
  SigV4ClientTransport,
} from '../../src/library/index.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { send } from '../support/http-client.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';

const OPTIONS = {
  region: 'eu-west-1',
  service: 'execute-api',
  credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
};

it('the error of a call names the member of the options, and not the flag', async () => {
  const server = await ScriptedServer.start(new SessionServer().behaviour);
  const proxy = await createProxy({ ...OPTIONS, endpoint: server.url, denyTool: 'echo' });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new SigV4ClientTransport(proxy));
  afterThisTest(async () => {
    await client.close();
    await proxy.close();
  });
  const failure: Error = await client.callTool({ name: 'echo' }).catch((error) => error);
  expect(failure.message).toContain('take that out of denyTool in');
  expect(failure.message).not.toContain('--');
});

it('the refusal of a listener, and its event, name the member of the options', async () => {
  const events = new Events();
  const told: string[] = [];
  events.subscribe((event) => {
    if (event.type === 'client.refused') told.push(event.message);
  });
  const listener = await createListener({ ...OPTIONS, endpoint: 'https://mcp.example/mcp', events });
  const server = createServer(listener.handler);
  const url = `http://127.0.0.1:${await listenOnLoopback(server)}/mcp`;
  afterThisTest(async () => {
    server.close();
    await listener.close();
  });
  const { text } = await send(url, { headers: { host: 'evil.example' }, body: {} });
  expect(text).toContain('(allowedHost)');
  expect(told).toEqual([expect.stringContaining('(allowedHost)')]);
});

it('a fetch that signs names the member of the options in its error', async () => {
  const signedFetch = createSigV4Fetch({ ...OPTIONS, proxy: 'http://127.0.0.1:9' });
  afterThisTest(() => signedFetch.close());
  const failure: Error = await signedFetch('https://mcp.example/mcp').catch((error) => error);
  expect(failure.message).toContain('Check proxy, or HTTPS_PROXY');
});
