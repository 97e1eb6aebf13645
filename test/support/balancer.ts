import * as http from 'node:http';
import { afterThisTest } from './cleanup.ts';
import { listenOnLoopback } from './connections.ts';

export interface BalancerOptions {
  /** Whether `/readyz` decides about new requests; without, only a refused connection does. */
  readonly checksHealth: boolean;
  readonly targets: readonly string[];
}

/**
 * A reverse proxy that balances round-robin, as HAProxy and nginx do with usual settings: it keeps
 * connections to its targets, asks for their health, and sends a POST to another target only if the
 * first one refused the connection.
 */
export async function startBalancer({ checksHealth, targets }: BalancerOptions) {
  // First in, first out: each kept connection is used within --drain-delay and learns from its
  // answer that it closes. The last in would hide the others until the listener cuts them under a
  // request.
  const agents = targets.map(() => new http.Agent({ keepAlive: true, scheduling: 'fifo' }));
  const down = new Set<number>();
  let next = 0;
  const choose = (tried: ReadonlySet<number>): number | undefined => {
    for (let count = 0; count < targets.length; count++) {
      const at = next++ % targets.length;
      if (!tried.has(at) && !down.has(at)) return at;
    }
    return undefined;
  };

  function forward(
    incoming: http.IncomingMessage,
    body: Buffer,
    response: http.ServerResponse,
    tried: Set<number>,
  ): void {
    const at = choose(tried);
    if (at === undefined) {
      response.writeHead(503).end('no target');
      return;
    }
    tried.add(at);
    const { method, headers } = incoming;
    const options = {
      method,
      agent: agents[at],
      headers: { ...headers, host: 'localhost', connection: 'keep-alive' },
    };
    const request = http.request(new URL('/mcp', targets[at]), options, (answer) => {
      response.writeHead(answer.statusCode ?? 0, { 'content-type': answer.headers['content-type'] });
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    request.on('error', (error: Error & { code?: string }) => {
      // A request that was sent on a connection may have run.
      if (error.code === 'ECONNREFUSED') forward(incoming, body, response, tried);
      else response.writeHead(502).end(String(error.code));
    });
    request.end(body);
  }

  async function checkOnce(at: number): Promise<void> {
    const target = targets[at] ?? '';
    const healthy = await new Promise<boolean>((resolve) => {
      http
        .get(new URL('/readyz', target), { agent: false }, (answer) =>
          resolve(answer.resume().statusCode === 200),
        )
        .on('error', () => resolve(false));
    });
    if (healthy) down.delete(at);
    else down.add(at);
  }

  const server = http.createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    forward(incoming, Buffer.concat(chunks), response, new Set());
  });
  const port = await listenOnLoopback(server);
  const timer = checksHealth
    ? setInterval(() => void Promise.all(targets.map((_target, at) => checkOnce(at))), 20)
    : undefined;
  afterThisTest(() => {
    clearInterval(timer);
    for (const agent of agents) agent.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${port}/mcp`, isDown: (at: number): boolean => down.has(at) };
}
