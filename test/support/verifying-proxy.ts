import * as http from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Verification } from '../../src/demo/sigv4-verifier.ts';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';
import { answerRefused, readBody, type VerifyOptions, verifyIncoming } from './scripted-server.ts';

export interface PassedRequest {
  readonly method: string;
  readonly url: string;
  readonly connection: number;
  readonly verification: Verification;
  /** The MCP method of the request; undefined for a response and for GET and DELETE. */
  readonly rpcMethod: string | undefined;
}

/** The method of a message stands near its start in what clients send. */
const rpcMethodIn = (body: Buffer): string | undefined =>
  /"method":"([^"]+)"/.exec(body.subarray(0, 1_000).toString('utf8'))?.[1];

/** Headers that speak about one hop only, or that the server behind has no use for. */
const isDropped = (name: string): boolean =>
  ['authorization', 'connection', 'keep-alive', 'transfer-encoding', 'content-length', 'host'].includes(
    name,
  ) || name.startsWith('x-amz-');

/**
 * Stands in front of a local MCP server as AWS does: refuses what is not signed, and forwards the
 * rest without the signature.
 */
export class VerifyingProxy {
  readonly requests: PassedRequest[] = [];
  readonly connections: Connections;
  readonly origin: string;
  /** The address of the server behind, at this proxy's port. */
  readonly url: string;
  readonly #server: http.Server;
  readonly #target: URL;
  readonly #verify: VerifyOptions;
  readonly #agent = new http.Agent({ keepAlive: true });

  private constructor(
    server: http.Server,
    connections: Connections,
    port: number,
    target: URL,
    verify: VerifyOptions,
  ) {
    this.#server = server;
    this.connections = connections;
    this.#target = target;
    this.#verify = verify;
    this.origin = `http://127.0.0.1:${port}`;
    this.url = `${this.origin}${target.pathname}${target.search}`;
    server.requestTimeout = 0;
    server.on('request', (incoming: http.IncomingMessage, response: http.ServerResponse) => {
      this.#serve(incoming, response).catch(() => response.destroy());
    });
  }

  static async start(target: string, verify: VerifyOptions): Promise<VerifyingProxy> {
    const server = http.createServer();
    const connections = new Connections(server);
    const port = await listenOnLoopback(server);
    const proxy = new VerifyingProxy(server, connections, port, new URL(target), verify);
    afterThisTest(() => proxy.close());
    return proxy;
  }

  get refused(): readonly PassedRequest[] {
    return this.requests.filter((request) => !request.verification.ok);
  }

  async close(): Promise<void> {
    await shut(this.#server, this.connections);
    this.#agent.destroy();
  }

  async #serve(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    response.on('error', () => undefined);
    const body = await readBody(incoming);
    const verification = verifyIncoming(incoming, body, this.#verify);
    const { method = '', url = '', socket } = incoming;
    const connection = this.connections.ordinal(socket);
    this.requests.push({ method, url, connection, verification, rpcMethod: rpcMethodIn(body) });
    if (!verification.ok) {
      answerRefused(response, verification);
      return;
    }
    const kept = Object.entries(incoming.headers).filter(([name]) => !isDropped(name));
    const length = body.length > 0 ? { 'content-length': String(body.length) } : {};
    const outgoing = http.request({
      host: this.#target.hostname,
      port: this.#target.port,
      path: url,
      method,
      agent: this.#agent,
      headers: { ...Object.fromEntries(kept), ...length },
    });
    // A client that leaves takes the request behind with it: cancelling must reach the server.
    response.on('close', () => outgoing.destroy());
    const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
      outgoing.on('response', resolve).on('error', reject);
    });
    outgoing.end(body);
    const answer = await answered;
    const { connection: _, 'keep-alive': __, 'transfer-encoding': ___, ...headers } = answer.headers;
    response.writeHead(answer.statusCode ?? 502, headers);
    // An open stream may stay silent for long, and its headers are news.
    response.flushHeaders();
    await pipeline(answer, response);
  }
}
