import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

/** The changes of egress proxies: accept-encoding, accept, user agent; they use chunks and add Via. */
async function startHop(target: string): Promise<string> {
  const hop = createServer((incoming, outgoing) => {
    const { 'content-length': _length, ...headers } = incoming.headers;
    const upstream = httpRequest(target, {
      method: incoming.method,
      headers: {
        ...headers,
        accept: `${headers.accept}, */*;q=0.1`,
        'accept-encoding': 'gzip, identity',
        'user-agent': 'egress/1.0',
        'x-forwarded-for': '10.0.0.1',
        via: '1.1 egress',
        ...(incoming.method === 'POST' ? { 'transfer-encoding': 'chunked' } : {}),
      },
    });
    upstream.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    upstream.on('error', () => outgoing.destroy());
    incoming.pipe(upstream);
    outgoing.on('close', () => upstream.destroy());
  });
  await new Promise<void>((resolve) => hop.listen(0, '127.0.0.1', resolve));
  afterThisTest(() => {
    hop.closeAllConnections();
    hop.close();
  });
  return `http://127.0.0.1:${(hop.address() as AddressInfo).port}/mcp`;
}

// https://github.com/aws/mcp-proxy-for-aws/issues/313
it('a hop that rewrites headers on the way does not break the signature', async () => {
  const server = await ScriptedServer.start(new SessionServer().behaviour, { verify: signingVerify });
  const bin = BinDriver.start({ args: [await startHop(server.url), ...signingArgs], env: signingEnv });
  expect(await bin.initialize({}, 0)).toHaveProperty('result.serverInfo');
  for (const id of ['', -1]) {
    const answer = await bin.request('tools/call', { name: 'echo', arguments: { text: 'hello' } }, id);
    expect(answer).toHaveProperty('result.content');
  }
  const [first] = server.requests;
  expect(first?.headers).toMatchObject({ via: '1.1 egress', 'transfer-encoding': 'chunked' });
});
