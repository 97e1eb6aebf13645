import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { expect, it } from 'vitest';
import { createSigV4Fetch, OptionsError } from '../../src/library/index.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { startSdkServer } from '../support/sdk-servers.ts';

const OPTIONS = {
  region: 'eu-west-1',
  service: 'execute-api',
  credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
};
const VERIFY = {
  service: 'execute-api',
  region: 'eu-west-1',
  keys: { AKIDEXAMPLE: { secretAccessKey: 'secret' } },
};

function openFetch(options: Parameters<typeof createSigV4Fetch>[0] = OPTIONS) {
  const signedFetch = createSigV4Fetch(options);
  afterThisTest(() => signedFetch.close());
  return signedFetch;
}

it('the HTTP transport of the MCP SDK works over a signed fetch', async () => {
  const server = await startSdkServer('v2');
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(server.url), { fetch: openFetch() }));
  afterThisTest(() => client.close());
  const { content } = await client.callTool({ name: 'add', arguments: { a: 0, b: -1 } });
  expect(content).toEqual([{ type: 'text', text: '-1' }]);
});

it('a signed fetch signs each method, path and body, and shares connections', async () => {
  const server = await ScriptedServer.start(
    (request, response) => {
      if (request.url.endsWith('/moved')) response.writeHead(302, { location: '/elsewhere' }).end();
      else if (request.method === 'DELETE') response.writeHead(204).end();
      else response.writeHead(200, { 'content-type': 'text/plain' }).end(request.body);
    },
    { verify: VERIFY },
  );
  const signedFetch = openFetch();
  const put = await signedFetch(`${server.origin}/a%20b/c?z=1&a=%C3%BC`, { method: 'PUT', body: 'text' });
  expect([put.status, await put.text()]).toEqual([200, 'text']);
  const gone = await signedFetch(new URL('/x', server.origin), { method: 'DELETE' });
  expect([gone.status, await gone.text()]).toEqual([204, '']);
  const moved = await signedFetch(`${server.origin}/moved`);
  expect([moved.status, moved.headers.get('location')]).toEqual([302, '/elsewhere']);
  expect(server.requests.map(({ verification }) => verification?.ok)).toEqual([true, true, true]);
  expect(new Set(server.requests.map(({ connection }) => connection)).size).toBe(1);
});

it('a signed fetch refreshes credentials that the server refuses as expired', async () => {
  const server = await ScriptedServer.start((request, response) => {
    const isOld = String(request.headers.authorization).includes('AKIDOLD');
    response.writeHead(isOld ? 403 : 200, isOld ? { 'x-amzn-errortype': 'ExpiredTokenException' } : {});
    response.end('{}');
  });
  const keys = ['AKIDOLD', 'AKIDNEW'];
  const credentials = () => ({ accessKeyId: keys.shift() ?? '', secretAccessKey: 's' });
  const response = await openFetch({ ...OPTIONS, credentials })(server.url, { method: 'POST', body: '{}' });
  expect([response.status, server.requests.length]).toEqual([200, 2]);
});

it('a signed fetch ends with its signal, and reports faults as a TypeError with the cause', async () => {
  const server = await ScriptedServer.start(() => undefined);
  const abort = new AbortController();
  const signedFetch = openFetch({ ...OPTIONS, endpoint: server.origin });
  const pending = signedFetch(server.url, { signal: abort.signal });
  await expect.poll(() => server.requests.length).toBe(1);
  abort.abort(new Error('enough'));
  await expect(pending).rejects.toThrow('enough');
  await expect(signedFetch('http://127.0.0.1:1/')).rejects.toThrow(/may go to .* only/);
  const refused = openFetch()('http://127.0.0.1:1/');
  await expect(refused).rejects.toThrow(/^fetch failed: /);
  const authorization = openFetch()(server.url, { headers: { authorization: 'Bearer x' } });
  await expect(authorization).rejects.toThrow('the header authorization is set by the signature');
  await expect(openFetch({ ...OPTIONS, maxConnections: 0 })(server.url)).rejects.toThrow(OptionsError);
  signedFetch.close();
  await expect(signedFetch(server.url)).rejects.toThrow('closed');
});
