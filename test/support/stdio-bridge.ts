import { randomUUID } from 'node:crypto';
import * as http from 'node:http';
import { classify, type Message, type Request, statedVersion } from '../../src/core/jsonrpc/message.ts';
import type { BinDriver } from './bin-driver.ts';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';
import { sendJson } from './mcp-answers.ts';
import { parseJson, readBody } from './scripted-server.ts';
import { StdioPeer } from './stdio-peer.ts';

const refuse = (response: http.ServerResponse, status: number, message: string): void =>
  sendJson(response, status, { jsonrpc: '2.0', error: { code: -32600, message } });

/**
 * Streamable HTTP in front of a command that speaks stdio, for clients that know HTTP only: one
 * process per session, and one for all requests of the stateless revision. It adds nothing of its
 * own but sessions and statuses.
 */
export class StdioBridge {
  readonly url: string;
  /** The stderr text of the processes that have ended. */
  readonly stderr: string[] = [];
  readonly #server: http.Server;
  readonly #connections: Connections;
  readonly #start: () => BinDriver;
  readonly #sessions = new Map<string, StdioPeer>();
  readonly #stateless: StdioPeer[] = [];
  readonly #leaving = new Set<Promise<void>>();

  private constructor(server: http.Server, connections: Connections, port: number, start: () => BinDriver) {
    this.#server = server;
    this.#connections = connections;
    this.#start = start;
    this.url = `http://127.0.0.1:${port}/mcp`;
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      response.on('error', () => undefined);
      this.#serve(request, response).catch(() => response.destroy());
    });
  }

  static async start(start: () => BinDriver): Promise<StdioBridge> {
    const server = http.createServer();
    const connections = new Connections(server);
    const bridge = new StdioBridge(server, connections, await listenOnLoopback(server), start);
    afterThisTest(() => bridge.close());
    return bridge;
  }

  async close(): Promise<void> {
    for (const peer of [...this.#sessions.values(), ...this.#stateless]) this.#end(peer);
    this.#sessions.clear();
    await Promise.all(this.#leaving);
    await shut(this.#server, this.#connections);
  }

  async #serve(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const id = incoming.headers['mcp-session-id'];
    const session = typeof id === 'string' ? this.#sessions.get(id) : undefined;
    if (id !== undefined && !session) {
      refuse(response, 404, 'no such session');
    } else if (incoming.method === 'POST') {
      const text = (await readBody(incoming)).toString();
      const message = classify(text, parseJson(text));
      if (typeof message === 'string') refuse(response, 400, message);
      else this.#post(message, incoming.headers, response, session);
    } else if (!session) {
      response.writeHead(405, { allow: 'POST' }).end();
    } else if (incoming.method === 'GET') {
      session.listen(response);
    } else {
      this.#sessions.delete(String(id));
      this.#end(session);
      response.writeHead(200).end();
    }
  }

  #post(
    message: Message,
    headers: http.IncomingHttpHeaders,
    response: http.ServerResponse,
    session: StdioPeer | undefined,
  ): void {
    const isStateless =
      statedVersion(message) !== undefined || headers['mcp-protocol-version'] === '2026-07-28';
    if (message.kind !== 'request') {
      const peer = session ?? this.#stateless[0];
      peer?.send(message);
      response.writeHead(peer ? 202 : 400).end();
      return;
    }
    const peer = session ?? (isStateless ? this.#idleFor(message) : this.#opened(message, response));
    if (peer) peer.ask(message, response);
    else refuse(response, 400, 'no session');
  }

  #opened(request: Request, response: http.ServerResponse): StdioPeer | undefined {
    if (request.method !== 'initialize') return undefined;
    const name = randomUUID();
    const peer = new StdioPeer(this.#start());
    this.#sessions.set(name, peer);
    response.setHeader('mcp-session-id', name);
    return peer;
  }

  /** Ids that HTTP clients use twice at once, each in a request of its own, need a pipe each. */
  #idleFor(request: Request): StdioPeer {
    const free = this.#stateless.find((peer) => !peer.carries(request));
    if (free) return free;
    const peer = new StdioPeer(this.#start());
    this.#stateless.push(peer);
    return peer;
  }

  #end(peer: StdioPeer): void {
    const left = peer.close().then((stderr) => void this.stderr.push(...(stderr ? [stderr] : [])));
    this.#leaving.add(left);
  }
}
