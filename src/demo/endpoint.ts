/**
 * An MCP endpoint on loopback that behaves like one on AWS: session-based Streamable HTTP where
 * every request must carry a valid SigV4 signature. The credentials are made up at start and die
 * with it.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { sleep } from '../core/time/waits.ts';
import {
  answerRequest,
  type DemoCaller,
  isObject,
  knowsProtocolVersion,
  type RpcMessage,
} from './demo-server.ts';
import { type CallFate, type DemoFault, fateOf } from './fault-plan.ts';
import { type KnownKey, type Verification, verifySignature } from './sigv4-verifier.ts';

/** Larger than any tool call of the demo. */
const MAX_BODY_BYTES = 1024 * 1024;
const SERVICE = 'mcp-demo';
const REGION = 'us-east-1';
const PATH = '/mcp';

export interface DemoCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

export interface DemoCounts {
  /**
   * TCP connections that carried a tools/call; the GET stream and control connections do not count.
   */
  readonly connectionsOpened: number;
  readonly signaturesVerified: number;
  readonly signaturesRefused: number;
  /** tools/call requests. */
  readonly calls: number;
}

export interface DemoEndpoint {
  readonly url: string;
  readonly credentials: DemoCredentials;
  readonly service: string;
  readonly region: string;
  counts(): DemoCounts;
  resetCounts(): void;
  close(): Promise<void>;
}

function makeCredentials(): DemoCredentials {
  return {
    accessKeyId: `ASIADEMO${randomBytes(6).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64'),
    sessionToken: randomBytes(48).toString('base64'),
  };
}

class Endpoint {
  readonly credentials = makeCredentials();
  readonly server = createServer((request, response) => {
    // Only a broken connection fails here, and it cannot carry an error.
    this.#serve(request, response).catch(() => response.destroy());
  });
  readonly #clock: Clock;
  readonly #faults: ReadonlySet<DemoFault>;
  /** Each session's GET stream, once it is open. */
  readonly #sessions = new Map<string, ServerResponse | undefined>();
  #callSockets = new Set<Socket>();
  #tally = { signaturesVerified: 0, signaturesRefused: 0, calls: 0 };

  constructor(clock: Clock, faults: ReadonlySet<DemoFault>) {
    this.#clock = clock;
    this.#faults = faults;
  }

  counts(): DemoCounts {
    return { connectionsOpened: this.#callSockets.size, ...this.#tally };
  }

  resetCounts(): void {
    this.#callSockets = new Set();
    this.#tally = { signaturesVerified: 0, signaturesRefused: 0, calls: 0 };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined);
    const body = await readBody(request);
    if (body === undefined) return answer(response, 413, { message: 'Request body too large' });
    const verified = this.#verify(request, body);
    if (!verified.ok) {
      this.#tally.signaturesRefused += 1;
      response.setHeader('x-amzn-errortype', verified.code);
      return answer(response, verified.status, { __type: verified.code, message: verified.message });
    }
    this.#tally.signaturesVerified += 1;
    if (request.url?.split('?')[0] !== PATH) return answer(response, 404, { message: 'Not Found' });
    const version = request.headers['mcp-protocol-version'];
    if (typeof version === 'string' && !knowsProtocolVersion(version)) {
      return answer(
        response,
        400,
        rpcError(null, -32000, `Bad Request: Unsupported protocol version: ${version}`),
      );
    }
    if (request.method === 'POST') return this.#post(request, response, body, verified);
    const session = this.#session(request, response);
    if (session === undefined) return;
    if (request.method === 'GET') this.#openStream(session, response);
    else if (request.method === 'DELETE') this.#delete(session, response);
    else answer(response, 405, rpcError(null, -32000, 'Method not allowed.'));
  }

  #verify(request: IncomingMessage, body: Uint8Array): Verification {
    const { accessKeyId, ...key } = this.credentials;
    const secretOf = (id: string): KnownKey | undefined => (id === accessKeyId ? key : undefined);
    const { method = '', url = '', rawHeaders } = request;
    const now = new Date(this.#clock.now());
    return verifySignature(
      { method, rawUrl: url, rawHeaders, body },
      { secretOf, service: SERVICE, region: REGION, now },
    );
  }

  /**
   * The request's session id; undefined after a request without a valid one was answered.
   */
  #session(request: IncomingMessage, response: ServerResponse): string | undefined {
    const id = request.headers['mcp-session-id'];
    if (typeof id === 'string' && this.#sessions.has(id)) return id;
    if (id === undefined) {
      answer(response, 400, rpcError(null, -32000, 'Bad Request: Mcp-Session-Id header is required'));
    } else answer(response, 404, rpcError(null, -32001, 'Session not found'));
    return undefined;
  }

  async #post(
    request: IncomingMessage,
    response: ServerResponse,
    body: Buffer,
    caller: DemoCaller,
  ): Promise<void> {
    const message = parseMessage(body);
    if (message === undefined)
      return answer(response, 400, rpcError(null, -32600, 'Not one JSON-RPC message'));
    if (message.method === 'initialize') {
      const session = randomUUID();
      this.#sessions.set(session, undefined);
      response.setHeader('Mcp-Session-Id', session);
    } else if (this.#session(request, response) === undefined) return;
    if (message.id === undefined || message.method === undefined) {
      response.writeHead(202).end();
      return;
    }
    // A closed connection cancels the call.
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    if (message.method === 'tools/call') {
      this.#tally.calls += 1;
      this.#callSockets.add(request.socket);
      const { refusal, delayMs } = fateOf(this.#tally.calls, this.#faults);
      if (refusal !== undefined) return this.#refuse(refusal, request, response);
      if (delayMs > 0) await sleep(this.#clock, delayMs, gone.signal);
    }
    const { accessKeyId, scope } = caller;
    const context = { caller: { accessKeyId, scope }, clock: this.#clock, signal: gone.signal };
    answer(response, 200, { jsonrpc: '2.0', id: message.id, ...(await answerRequest(message, context)) });
  }

  #refuse(
    refusal: NonNullable<CallFate['refusal']>,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    if (refusal === 'throttled') {
      response.setHeader('x-amzn-errortype', 'ThrottlingException');
      answer(response, 429, { message: 'Rate exceeded' });
      return;
    }
    const session = String(request.headers['mcp-session-id']);
    this.#sessions.get(session)?.end();
    this.#sessions.delete(session);
    answer(response, 404, rpcError(null, -32001, 'Session not found'));
  }

  #openStream(session: string, response: ServerResponse): void {
    if (this.#sessions.get(session) !== undefined) {
      answer(response, 409, rpcError(null, -32000, 'Only one SSE stream is allowed per session'));
      return;
    }
    this.#sessions.set(session, response);
    response.on('close', () => {
      if (this.#sessions.has(session)) this.#sessions.set(session, undefined);
    });
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    response.write(': open\n\n');
  }

  #delete(session: string, response: ServerResponse): void {
    const stream = this.#sessions.get(session);
    this.#sessions.delete(session);
    stream?.end();
    response.writeHead(200).end();
  }
}

const rpcError = (id: unknown, code: number, message: string): unknown => ({
  jsonrpc: '2.0',
  id,
  error: { code, message },
});

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** The whole body, or undefined above the limit. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return size <= MAX_BODY_BYTES ? Buffer.concat(chunks) : undefined;
}

function parseMessage(body: Buffer): RpcMessage | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export interface DemoEndpointOptions {
  readonly clock?: Clock;
  /** 0 for any free port. */
  readonly port?: number;
  readonly faults?: ReadonlySet<DemoFault>;
}

/**
 * Starts the endpoint on 127.0.0.1.
 * @throws Error if the port is in use.
 */
export async function startDemoEndpoint({
  clock = systemClock,
  port: wantedPort = 0,
  faults = new Set(),
}: DemoEndpointOptions = {}): Promise<DemoEndpoint> {
  const endpoint = new Endpoint(clock, faults);
  const { server } = endpoint;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(wantedPort, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}${PATH}`,
    credentials: endpoint.credentials,
    service: SERVICE,
    region: REGION,
    counts: () => endpoint.counts(),
    resetCounts: () => endpoint.resetCounts(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
