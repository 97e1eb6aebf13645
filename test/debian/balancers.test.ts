import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { send } from '../support/http-client.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { BALANCERS, type BalancerName, balancerProgram, startDebianBalancer } from './balancers.ts';
import { freePort } from './redis-server.ts';

/** A replica that is healthy, and runs each POST; it cuts the connection instead of an answer to some. */
async function startReplica(ran: unknown[], cuts: (id: unknown) => boolean): Promise<string> {
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      response.end('ok');
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { id } = JSON.parse(String(Buffer.concat(chunks))) as { id: unknown };
    ran.push(id);
    if (cuts(id)) request.socket.destroy();
    else sendJson(response, 200, { jsonrpc: '2.0', id, result: {} });
  });
  const port = await listenOnLoopback(server);
  afterThisTest(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${port}/mcp`;
}

const call = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'any' } });

async function startReady(name: BalancerName, replicas: readonly string[]): Promise<string> {
  const { url } = await startDebianBalancer(name, replicas);
  const ready = new URL('/readyz', url).href;
  await expect.poll(() => send(ready, { method: 'GET' }).then(({ status }) => status)).toBe(200);
  return url;
}

describe.each(BALANCERS.filter((name) => balancerProgram(name)))(
  'the configuration of %s in deploy/',
  (name) => {
    it('a POST is never sent to another replica after one that may have run it', async () => {
      const ran: unknown[] = [];
      const replica = () => startReplica(ran, () => true);
      const url = await startReady(name, [await replica(), await replica()]);
      const ids = [0, '', -1];
      for (const id of ids) expect((await send(url, { body: call(id) })).status).toBe(502);
      expect(ran).toEqual(ids);
    });

    it('a single error of the last working replica does not fail the next call', async () => {
      const ran: unknown[] = [];
      const down = `http://127.0.0.1:${await freePort()}/mcp`;
      const cuts = (id: unknown): boolean => id === 'cut';
      const url = await startReady(name, [down, await startReplica(ran, cuts)]);
      const statuses: number[] = [];
      const ids = [0, 'cut', '', 'cut', 'cut', -1];
      for (const id of ids) statuses.push((await send(url, { body: call(id) })).status);
      // The balancer has forgotten by now that the other replica is down, and meets both again.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      for (const id of ids.slice(1, 3)) statuses.push((await send(url, { body: call(id) })).status);
      expect(statuses).toEqual([200, 502, 200, 502, 502, 200, 502, 200]);
      expect(ran).toEqual([...ids, ...ids.slice(1, 3)]);
    });

    it('a replica that refuses connections while the other one works fails no call', async () => {
      const ran: unknown[] = [];
      const down = `http://127.0.0.1:${await freePort()}/mcp`;
      const url = await startReady(name, [await startReplica(ran, () => false), down]);
      const ids = Array.from({ length: 40 }, (_, id) => id);
      const answers = await Promise.all(ids.map((id) => send(url, { body: call(id) })));
      expect(answers.map(({ status, json }) => [status, json.id])).toEqual(ids.map((id) => [200, id]));
      expect(ran.sort((one, other) => Number(one) - Number(other))).toEqual(ids);
    });
  },
);
