import * as http from 'node:http';
import * as https from 'node:https';
import type { Socket } from 'node:net';
import type { KnownKey, Verification } from '../../src/demo/sigv4-verifier.ts';
import { verifySignature } from '../../src/demo/sigv4-verifier.ts';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';

export interface VerifyOptions {
  readonly service: string;
  readonly region: string;
  /** By access key id. */
  readonly keys: Readonly<Record<string, KnownKey>>;
  readonly now?: () => Date;
  /** Checks each request; absent: SigV4. */
  readonly verifier?: typeof verifySignature;
}

export interface RecordedRequest {
  readonly method: string;
  /** Path and query exactly as on the request line. */
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly text: string;
  /** The body parsed; undefined where it is not JSON. */
  readonly json: unknown;
  /** The body as one JSON-RPC message; an empty object if it is not one. */
  readonly rpc: {
    readonly id?: unknown;
    readonly method?: string;
    readonly params?: Record<string, unknown>;
    readonly [key: string]: unknown;
  };
  /** Ordinal of the TCP connection, from 1. */
  readonly connection: number;
  readonly socket: Socket;
  /** Set where the server verifies. */
  readonly verification: Verification | undefined;
}

export type Behaviour = (request: RecordedRequest, response: http.ServerResponse) => void | Promise<void>;

export interface ScriptedServerOptions {
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly verify?: VerifyOptions;
  /** To come back on the port of a server that went away. */
  readonly port?: number;
  /** Node's server closes idle connections after 5 s; 0 = never. */
  readonly keepAliveTimeoutMs?: number;
  /** Bytes of a request's headers; Node takes 16 KiB. */
  readonly maxHeaderSize?: number;
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The server's record of a request. */
export function recorded(
  incoming: http.IncomingMessage,
  body: Buffer,
  connections: Connections,
  verification: RecordedRequest['verification'],
): RecordedRequest {
  const text = body.toString('utf8');
  const json = parseJson(text);
  return {
    method: incoming.method ?? '',
    url: incoming.url ?? '',
    headers: incoming.headers,
    rawHeaders: incoming.rawHeaders,
    body,
    text,
    json,
    rpc: isObject(json) ? json : {},
    connection: connections.ordinal(incoming.socket),
    socket: incoming.socket,
    verification,
  };
}

export async function readBody(incoming: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function verifyIncoming(
  incoming: http.IncomingMessage,
  body: Buffer,
  verify: VerifyOptions,
): Verification {
  const request = {
    method: incoming.method ?? '',
    rawUrl: incoming.url ?? '',
    rawHeaders: incoming.rawHeaders,
    body,
  };
  const { service, region, keys, now = () => new Date(), verifier = verifySignature } = verify;
  const secretOf = (id: string): KnownKey | undefined => (Object.hasOwn(keys, id) ? keys[id] : undefined);
  return verifier(request, { service, region, secretOf, now: now() });
}

/** Answers a refused signature as AWS services that speak JSON do. */
export function answerRefused(
  response: http.ServerResponse,
  refused: Extract<Verification, { ok: false }>,
): void {
  response.writeHead(refused.status, {
    'content-type': 'application/json',
    'x-amzn-errortype': refused.code,
  });
  response.end(JSON.stringify({ __type: refused.code, message: refused.message }));
}

/**
 * A raw HTTP server on loopback whose behaviour is one function, and which remembers all it was
 * asked.
 */
export class ScriptedServer {
  readonly requests: RecordedRequest[] = [];
  readonly connections: Connections;
  readonly port: number;
  readonly origin: string;
  /** The origin with `/mcp`. */
  readonly url: string;
  /** Swap it to let the server change its mind in mid-test. */
  behaviour: Behaviour;
  readonly #server: http.Server | https.Server;
  readonly #arrivals = new Set<() => void>();
  readonly #faults: unknown[] = [];

  private constructor(
    server: http.Server | https.Server,
    connections: Connections,
    port: number,
    behaviour: Behaviour,
    options: ScriptedServerOptions,
  ) {
    this.#server = server;
    this.connections = connections;
    this.port = port;
    this.behaviour = behaviour;
    this.origin = `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
    this.url = `${this.origin}/mcp`;
    server.on('request', (incoming: http.IncomingMessage, response: http.ServerResponse) => {
      this.#serve(incoming, response, options.verify).catch((fault: unknown) => {
        // A client that went away is the test's business; a behaviour that threw is a broken test.
        if (!incoming.destroyed || incoming.complete) this.#faults.push(fault);
        response.destroy();
      });
    });
  }

  static async start(behaviour: Behaviour, options: ScriptedServerOptions = {}): Promise<ScriptedServer> {
    const server = options.tls
      ? https.createServer(options.tls)
      : http.createServer(options.maxHeaderSize ? { maxHeaderSize: options.maxHeaderSize } : {});
    if (options.keepAliveTimeoutMs !== undefined) server.keepAliveTimeout = options.keepAliveTimeoutMs;
    server.requestTimeout = 0;
    const connections = new Connections(server, options.tls ? 'secureConnection' : 'connection');
    const port = await listenOnLoopback(server, options.port);
    const scripted = new ScriptedServer(server, connections, port, behaviour, options);
    afterThisTest(() => scripted.close());
    return scripted;
  }

  /**
   * The recorded requests of one JSON-RPC method, or of one HTTP method where the name is in
   * capitals.
   */
  of(method: string): RecordedRequest[] {
    return this.requests.filter(
      (request) => (/^[A-Z]+$/.test(method) ? request.method : request.rpc.method) === method,
    );
  }

  /** How many different connections carried a request that the filter names. */
  connectionsThat(carried: (request: RecordedRequest) => boolean): number {
    return new Set(this.requests.filter(carried).map((request) => request.connection)).size;
  }

  /** Resolves once the recorded requests satisfy the condition; fails after 20 s. */
  async until(condition: (requests: readonly RecordedRequest[]) => boolean): Promise<void> {
    const deadline = Date.now() + 20_000;
    while (!condition(this.requests)) {
      if (Date.now() > deadline) {
        const seen = this.requests
          .map((request) => `${request.method} ${request.rpc.method ?? ''}`)
          .join(', ');
        throw new Error(`The server waited in vain; it saw: ${seen}`);
      }
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          clearTimeout(timer);
          this.#arrivals.delete(wake);
          resolve();
        };
        // Other events, such as a connection that closes, wake no waiter.
        const timer = setTimeout(wake, 10);
        this.#arrivals.add(wake);
      });
    }
  }

  /**
   * Cuts everything. Fails where a behaviour threw, so that a broken script cannot pass as a broken
   * proxy.
   */
  async close(): Promise<void> {
    await shut(this.#server, this.connections);
    const fault = this.#faults.shift();
    if (fault !== undefined) throw fault;
  }

  async #serve(
    incoming: http.IncomingMessage,
    response: http.ServerResponse,
    verify?: VerifyOptions,
  ): Promise<void> {
    response.on('error', () => undefined);
    // A server sends its own time.
    if (verify?.now) response.setHeader('date', verify.now().toUTCString());
    const body = await readBody(incoming);
    const verification = verify && verifyIncoming(incoming, body, verify);
    const request = recorded(incoming, body, this.connections, verification);
    this.requests.push(request);
    for (const wake of this.#arrivals) wake();
    if (verification?.ok === false) answerRefused(response, verification);
    else await this.behaviour(request, response);
  }
}
