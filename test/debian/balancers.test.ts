import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { send } from '../support/http-client.ts';
import { BALANCERS, balancerProgram, startDebianBalancer } from './balancers.ts';

/** A replica that is healthy, runs each POST, and dies before it answers. */
async function startDyingReplica(ran: unknown[]): Promise<string> {
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      response.end('ok');
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    ran.push(JSON.parse(String(Buffer.concat(chunks))).id);
    request.socket.destroy();
  });
  const port = await listenOnLoopback(server);
  afterThisTest(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${port}/mcp`;
}

it.each(BALANCERS.filter((name) => balancerProgram(name)))(
  'the configuration of %s in deploy/ never sends a POST to another replica that one may have run',
  async (name) => {
    const ran: unknown[] = [];
    const replicas = [await startDyingReplica(ran), await startDyingReplica(ran)];
    const { url } = await startDebianBalancer(name, replicas);
    const ready = new URL('/readyz', url).href;
    await expect.poll(() => send(ready, { method: 'GET' }).then(({ status }) => status)).toBe(200);
    const ids = [0, '', -1];
    for (const id of ids) {
      const body = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'any' } };
      expect((await send(url, { body })).status).toBe(502);
      // nginx leaves a replica out for a second after an error.
      await new Promise((resolve) => setTimeout(resolve, 2_100));
    }
    expect(ran).toEqual(ids);
  },
);
