import { isUtf8 } from 'node:buffer';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { parseError } from '../../core/jsonrpc/parse.ts';
import type { HttpExchange } from '../../core/pipeline/http-context.ts';
import { type Clock, settleWithin } from '../../core/time/clock.ts';
import {
  admissionRefusal,
  bodyTooLarge,
  errorBody,
  framingRefusal,
  type HttpRefusal,
  listenerFull,
} from './admission.ts';
import { responseText, unreadableRefusal } from './bad-request.ts';
import { discard, type ReadBody, readBody } from './body.ts';
import { Connections, MAX_UNADMITTED } from './connections.ts';
import { type Caller, ServerExchange, type ServerExchangeDeps } from './exchange.ts';
import { corsHeaders, preflightHeaders } from './headers.ts';
import { HeldBodies, type HeldBody } from './held-bodies.ts';
import type { ListenerSettings } from './options.ts';
import type { Tokens } from './tokens.ts';
import { UnreadAnswers } from './unread-answers.ts';

/**
 * A client that takes longer to say what it wants keeps a place from others. Answers may take any
 * time.
 */
const MAX_HEAD_MS = 5_000;
const MAX_REQUEST_MS = 120_000;
const TIMEOUT_CHECK_INTERVAL_MS = 1_000;
/**
 * Longer than the load balancers of AWS keep theirs (60 s): whoever reuses a connection must be the
 * one who closes it.
 */
const KEEP_ALIVE_MS = 65_000;
/**
 * A client that vanished without a word (a laptop asleep, a NAT that forgot) says nothing on a
 * quiet stream either: its host is asked whether it is still there, or it would keep its place
 * among --max-streams for ever. Sooner than the NAT gateways of AWS forget (350 s).
 */
const KEEPALIVE_PROBE_MS = 60_000;
/**
 * Connections that the system may accept in one go, before those that make room for them are gone.
 */
const BACKLOG = 511;
/**
 * Requests on one connection whose answers are not complete. Few clients send even two; more
 * refusals would only pile up.
 */
const MAX_PIPELINED = 16;
/** How much of a body that is too long is read on, so that its sender gets to read the answer. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;
/**
 * How long, after it has stopped listening, requests may still come on connections that were opened
 * just before.
 */
const LAST_REQUESTS_MS = 1_000;
/**
 * How long the last answers on a connection may take to leave, and a client to send the rest of a
 * request that was refused.
 */
const CLOSE_MS = 2_000;

/**
 * Who carries what clients send. Neither method throws; both resolve when the answer is complete.
 */
export interface HttpHandlers {
  post(text: string, exchange: HttpExchange): Promise<void>;
  forward(method: 'GET' | 'DELETE', exchange: HttpExchange): Promise<void>;
}

/** A request that was not let in, or bytes that are none. */
export interface RefusedRequest {
  readonly status: number;
  readonly message: string;
  readonly address: string;
  /** The name of the token that it presented. */
  readonly token: string | undefined;
}

export interface HttpListenerOptions extends Omit<ListenerSettings, 'tokens' | 'tokenFile'> {
  /** Whose changes the front follows; they are opened and closed elsewhere. */
  readonly tokens: Tokens;
  readonly clock: Clock;
  readonly handlers: HttpHandlers;
  /** Why requests could not succeed now, or undefined; it must hold nothing secret. */
  readonly unreadyReason: () => Promise<string | undefined>;
  readonly onRefused: (refused: RefusedRequest) => void;
  /** Called for each connection that is closed to make room, with its address. */
  readonly onDisconnected: (address: string) => void;
}

/** One request under way on a connection, which can have several: clients may send ahead. */
interface ActiveRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The name of the token that opened the listener to it. */
  readonly token: string | undefined;
  /**
   * To be called at its end: of an answer that waits in line behind another one, node tells nothing
   * when their connection breaks.
   */
  readonly end: () => void;
}

const BYTE_ORDER_MARK = '\uFEFF';

/**
 * Serves Streamable HTTP: decides who is let in, and hands each request on with the way to answer
 * it.
 */
export class HttpListener {
  readonly #options: HttpListenerOptions;
  readonly #server: Server;
  readonly #held: HeldBodies;
  readonly #exchangeDeps: ServerExchangeDeps;
  readonly #active = new WeakMap<Socket, ActiveRequest[]>();
  /**
   * Connections whose last answer has been given: what a client has sent behind it is no request
   * any more (RFC 9112, 9.6).
   */
  readonly #ending = new WeakSet<Socket>();
  readonly #connections: Connections;
  #requests = 0;
  #leaving = false;
  /**
   * Bytes that a connection had brought when its last answer had left: as many still, and it is
   * idle.
   */
  readonly #bytesWhenIdle = new WeakMap<Socket, number>();
  /** Settles when it no longer listens and every connection is closed. */
  #closed: Promise<void> | undefined;

  private constructor(options: HttpListenerOptions) {
    this.#options = options;
    this.#held = new HeldBodies(options.maxClients);
    this.#exchangeDeps = {
      clock: options.clock,
      unread: new UnreadAnswers(),
      forwarded: options.forwardedHeaders,
    };
    this.#server = createServer({
      maxHeaderSize: options.maxHeaderBytes,
      // Refused here, where it is reported, and where nothing behind it is carried.
      requireHostHeader: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: MAX_HEAD_MS,
      requestTimeout: MAX_REQUEST_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_INTERVAL_MS,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_PROBE_MS,
    });
    // Their size is bounded; a number that drops the rest would hide what was sent.
    this.#server.maxHeadersCount = 0;
    this.#server.maxConnections = options.maxClients + MAX_UNADMITTED + BACKLOG;
    this.#connections = new Connections(
      options,
      (socket) => this.#activeOn(socket).length === 0,
      (socket, address) => {
        options.onDisconnected(address);
        socket.destroy();
      },
    );
    options.tokens.onChange(() => this.#cutRevoked());
    this.#server.on('connection', (socket: Socket) => this.#connected(socket));
    this.#server.on('request', (request, response) => this.#serve(request, response));
    // Who asks first whether to send the body, is told by the answer where it is no.
    this.#server.on('checkContinue', (request, response) => this.#serve(request, response));
    this.#server.on('clientError', (error: Error & { code?: string }, socket: Socket) =>
      this.#rejectUnparsable(error.code, socket),
    );
  }

  /** @throws the error of the operating system, where the address cannot be listened on. */
  static async open(options: HttpListenerOptions): Promise<HttpListener> {
    const listener = new HttpListener(options);
    const { host, port } = options.address;
    await new Promise<void>((resolve, reject) => {
      listener.#server.once('error', reject);
      listener.#server.listen(port, host, BACKLOG, () => {
        listener.#server.off('error', reject);
        resolve();
      });
    });
    // Too many open files: what is open is served, and the next connection may find room.
    listener.#server.on('error', () => undefined);
    return listener;
  }

  /** Where clients find it. */
  get url(): string {
    const address = this.#server.address();
    const { host } = this.#options.address;
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    return `http://${host.includes(':') ? `[${host}]` : host}:${port}${this.#options.path || '/'}`;
  }

  #connected(socket: Socket): void {
    this.#connections.add(socket, socket.remoteAddress);
    socket.on('close', () => {
      this.#connections.remove(socket);
      for (const { end } of [...(this.#active.get(socket) ?? [])]) end();
    });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    response.on('error', () => undefined);
    request.on('error', () => undefined);
    if (this.#activeOn(request.socket).length >= MAX_PIPELINED) {
      request.socket.destroy();
      return;
    }
    if (this.#ending.has(request.socket)) {
      // Counted, because node keeps a response for each.
      this.#track(request, response, undefined, () => undefined);
      request.resume();
      return;
    }
    if (this.#leaving) this.#markLast(request, response);
    const faulty = framingRefusal(request.httpVersion, request.headers);
    if (faulty) {
      const address = this.#connections.addressOf(request.socket);
      this.#refuse(request, response, faulty, { address, token: undefined });
      return;
    }
    const { method = '', headers } = request;
    const path = pathOf(request.url);
    if ((path === '/healthz' || path === '/readyz') && (method === 'GET' || method === 'HEAD')) {
      this.#health(path, request, response);
      return;
    }
    const { tokens } = this.#options;
    const token = tokens.required ? tokens.nameOf(headers.authorization) : undefined;
    const authorized = token !== undefined || !tokens.required;
    const head = { method, path, headers, hostCount: countHostHeaders(request.rawHeaders), authorized };
    const refusal = admissionRefusal(head, this.#options);
    // The question of a page comes without a token, and so admits nobody.
    if (!refusal && method === 'OPTIONS') {
      this.#respond(request, response.writeHead(204, preflightHeaders(headers)));
      return;
    }
    const caller = { address: this.#connections.addressOf(request.socket), token };
    const refused = refusal ?? this.#checkCapacity(request.socket);
    if (refused) this.#refuse(request, response, refused, caller);
    else void this.#handle(request, response, this.#beginExchange(request, response, caller));
  }

  /**
   * To be called when an answer has left: what its connection brings from now on is another
   * request.
   */
  #markIdle(socket: Socket): void {
    this.#bytesWhenIdle.set(socket, socket.bytesRead);
  }

  #beginExchange(request: IncomingMessage, response: ServerResponse, caller: Caller): ServerExchange {
    const exchange = new ServerExchange(request, response, caller, this.#exchangeDeps);
    this.#requests++;
    this.#track(request, response, caller.token, () => {
      this.#requests--;
      exchange.settle();
    });
    return exchange;
  }

  #track(
    request: IncomingMessage,
    response: ServerResponse,
    token: string | undefined,
    ended: () => void,
  ): void {
    const all = this.#activeOn(request.socket);
    const over = (): void => {
      const at = all.indexOf(active);
      if (at < 0) return;
      all.splice(at, 1);
      this.#markIdle(request.socket);
      ended();
    };
    const active: ActiveRequest = { request, response, token, end: over };
    all.push(active);
    response.on('close', over);
  }

  #activeOn(socket: Socket): ActiveRequest[] {
    const known = this.#active.get(socket);
    if (known) return known;
    const none: ActiveRequest[] = [];
    this.#active.set(socket, none);
    return none;
  }

  /**
   * Ends an answer of the front's own; behind others it counts among what its connection waits for.
   */
  #respond(request: IncomingMessage, response: ServerResponse, text = ''): void {
    if (response.socket) response.once('close', () => this.#markIdle(request.socket));
    else this.#track(request, response, undefined, () => undefined);
    response.end(text);
    if (!request.complete) discard(request, MAX_DISCARDED_BYTES);
  }

  #markLast(request: IncomingMessage, response: ServerResponse): void {
    response.shouldKeepAlive = false;
    this.#ending.add(request.socket);
  }

  /**
   * The last answer on a connection. A client that still sends gets a moment to read it: a
   * connection that is closed with bytes unread is reset, and takes the answer along.
   */
  #respondLast(request: IncomingMessage, response: ServerResponse, text: string): void {
    // A client that waits for leave to send the body has sent nothing that would have to be read.
    if (request.complete || request.headers.expect !== undefined) {
      this.#respond(request, response, text);
      return;
    }
    if (!response.socket) this.#track(request, response, undefined, () => undefined);
    response.write(text);
    const end = (): void => {
      late.cancel();
      response.end();
    };
    const late = this.#options.clock.schedule(CLOSE_MS, end, { keepAlive: false });
    request.once('end', end);
    request.once('close', end);
    discard(request, MAX_DISCARDED_BYTES);
  }

  #checkCapacity(socket: Socket): HttpRefusal | undefined {
    const { maxClients } = this.#options;
    const full = this.#requests < maxClients ? this.#connections.admit(socket) : 'clients';
    if (full === undefined) return undefined;
    return listenerFull(
      full === 'clients'
        ? `${maxClients} clients are served, as many as the proxy takes (--max-clients).`
        : 'Your address has as many connections as one may have (--max-clients-per-address).',
    );
  }

  /** A stream may stay open for days: it ends with the token that opened it. */
  #cutRevoked(): void {
    for (const socket of this.#connections.sockets) {
      const isRevoked = ({ token }: ActiveRequest): boolean =>
        token !== undefined && !this.#options.tokens.has(token);
      if (this.#activeOn(socket).some(isRevoked)) socket.destroy();
    }
  }

  #health(path: string, request: IncomingMessage, response: ServerResponse): void {
    const respond = (problem: string | undefined): void => {
      const headers = { 'content-type': 'text/plain', 'cache-control': 'no-store' };
      if (this.#leaving) response.shouldKeepAlive = false;
      this.#respond(request, response.writeHead(problem ? 503 : 200, headers), `${problem ?? 'ok'}\n`);
    };
    if (path === '/healthz') respond(undefined);
    else if (this.#leaving) respond('leaving');
    else void this.#options.unreadyReason().then((reason) => respond(this.#leaving ? 'leaving' : reason));
  }

  async #handle(request: IncomingMessage, response: ServerResponse, exchange: ServerExchange): Promise<void> {
    const { handlers } = this.#options;
    if (request.method !== 'POST') {
      discard(request, MAX_DISCARDED_BYTES);
      if (!(await waitForTurn(response, exchange))) return;
      await handlers.forward(request.method === 'GET' ? 'GET' : 'DELETE', exchange);
      return;
    }
    let body: HeldBody | undefined;
    try {
      // Clients of HTTP/1.0 would take it for the answer (RFC 9110, 15.2).
      if (request.headers.expect !== undefined && request.httpVersion !== '1.0') response.writeContinue();
      const { maxBodyBytes } = this.#options;
      const { address, token } = exchange.caller;
      const owner = {
        caller: token === undefined ? address : `token ${token}`,
        session: exchange.headers['mcp-session-id'] ?? '',
      };
      const memory = { held: this.#held, owner };
      const read = await readBody(request, maxBodyBytes, memory, (opened) => {
        body = opened;
      });
      const text = this.#readText(read);
      if (text === undefined) return;
      if (typeof text === 'string') {
        // Asked here too: most answers have nobody before them, and need not wait for word of it.
        if (response.socket || (await waitForTurn(response, exchange))) await handlers.post(text, exchange);
      } else this.#refuse(request, response, text, exchange.caller);
    } finally {
      body?.release();
    }
  }

  /** The body as text, or why it is none, or undefined where its sender has gone. */
  #readText(body: ReadBody): string | HttpRefusal | undefined {
    if (body === 'gone') return undefined;
    if (body === 'too-large') return bodyTooLarge(this.#options.maxBodyBytes);
    if (body === 'no-room') return listenerFull('The bodies of requests fill the memory set aside for them.');
    if (!isUtf8(body.bytes)) return { status: 400, headers: {}, error: parseError('it is not UTF-8') };
    const text = body.bytes.toString('utf8');
    return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
  }

  #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    { status, headers, error }: HttpRefusal,
    caller: Caller,
  ): void {
    this.#options.onRefused({ status, message: error.message, ...caller });
    const body = errorBody(error);
    const { origin } = request.headers;
    const readable = status === 403 ? {} : corsHeaders(origin);
    this.#markLast(request, response);
    response.writeHead(status, { ...body.headers, ...headers, ...readable });
    this.#respondLast(request, response, body.text);
  }

  /** What node's parser could not make a request of. */
  #rejectUnparsable(code: string | undefined, socket: Socket): void {
    if (code === 'ECONNRESET' || !socket.writable || this.#isMidResponse(socket)) {
      socket.destroy();
      return;
    }
    const refusal = unreadableRefusal(code, this.#options.maxHeaderBytes);
    const address = this.#connections.addressOf(socket);
    this.#options.onRefused({
      status: refusal.status,
      message: refusal.error.message,
      address,
      token: undefined,
    });
    socket.end(responseText(refusal));
    // Who does not close its side in turn would keep the connection for ever: node has no time
    // limit for what it has given up.
    this.#options.clock.schedule(CLOSE_MS, () => socket.destroy(), { keepAlive: false });
  }

  /**
   * Whether what is written to the connection now would be read as the answer to a good request, or
   * as a part of it.
   */
  #isMidResponse(socket: Socket): boolean {
    return this.#activeOn(socket).some(({ request, response }) => request.complete || response.headersSent);
  }

  /**
   * Reports from now on that it leaves, and keeps no connection after its next answer: the next
   * request goes elsewhere.
   */
  announce(): void {
    this.#leaving = true;
    for (const socket of this.#connections.sockets) {
      for (const { response } of this.#activeOn(socket)) {
        if (!response.headersSent) response.shouldKeepAlive = false;
      }
    }
  }

  /**
   * Takes no new connection. What was sent on an open one before its client could know is served:
   * resolves when there is none left, or after a moment.
   */
  async stopListening(): Promise<void> {
    await waitForQuietTurn(this.#options.clock);
    const closed = this.#stop();
    this.#closeIdle();
    await settleWithin(this.#options.clock, LAST_REQUESTS_MS, closed);
  }

  /**
   * Not the server's own `close`: that one also cuts answers whose last bytes have not left yet.
   */
  #stop(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      NetServer.prototype.close.call(this.#server, () => resolve());
    });
    return this.#closed;
  }

  /** Closes connections on which nothing is under way, not even a part of a request. */
  #closeIdle(): void {
    for (const socket of this.#connections.sockets) {
      if (this.#activeOn(socket).length === 0 && this.#bytesWhenIdle.get(socket) === socket.bytesRead)
        socket.destroy();
    }
  }

  /** Reports that it leaves, and closes idle connections. */
  leave(): void {
    this.announce();
    this.#closeIdle();
  }

  /** Stops listening; the last answers may leave, for a moment. Never throws. */
  async close(): Promise<void> {
    this.leave();
    await settleWithin(this.#options.clock, CLOSE_MS, this.#stop());
    this.#server.closeAllConnections();
  }
}

/**
 * Resolves to true when nothing stands before this answer any more, to false when its client has
 * gone. A request that was sent ahead is read but not carried until then: it would take its share
 * of what others wait for; and from a connection for which answers are piled up node stops reading,
 * so that nobody would notice when its client leaves the first of them, which may be a stream.
 */
async function waitForTurn(response: ServerResponse, exchange: ServerExchange): Promise<boolean> {
  if (response.socket) return true;
  await new Promise<void>((resolve) => {
    response.once('socket', () => resolve());
    exchange.onGone(resolve);
  });
  return response.socket !== null;
}

/** A turn of the event loop that takes no longer has done next to nothing. */
const QUIET_TURN_MS = 0.1;
/**
 * A busy process has such turns between its requests; one that has none for so many must leave all
 * the same.
 */
const MAX_TURNS = 2_000;

/**
 * Resolves right after a turn of the event loop that took next to no time: it has accepted every
 * waiting connection then. The operating system resets those that it accepts between that and the
 * moment when the process stops listening.
 */
async function waitForQuietTurn(clock: Clock): Promise<void> {
  let before = clock.monotonic();
  for (let turns = 0; turns < MAX_TURNS; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = clock.monotonic();
    if (now - before < QUIET_TURN_MS) return;
    before = now;
  }
}

const pathOf = (url = ''): string => url.split('?', 1)[0] ?? '';

/** How often a Host stands among names and values in turn. */
function countHostHeaders(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.length === 4 && rawHeaders[at]?.toLowerCase() === 'host') count++;
  }
  return count;
}
