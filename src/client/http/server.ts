import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { urlHost } from '../../core/http/listen-address.ts';
import { isLoopback } from '../../core/http/loopback.ts';
import type { Share } from '../../core/pipeline/fair-queue.ts';
import type { Peers } from '../../core/pipeline/peers.ts';
import type { Clock } from '../../core/time/clock.ts';
import { afterPoll } from '../../core/time/poll-phase.ts';
import { settleWithin } from '../../core/time/waits.ts';
import { type ActiveRequest, ActiveRequests } from './active-requests.ts';
import {
  admissionRefusal,
  framingRefusal,
  type HttpRefusal,
  listenerFull,
  type RequestHead,
  remoteRefusal,
  withoutSlash,
} from './admission.ts';
import { AttachedConnections } from './attached-connections.ts';
import { discard } from './body.ts';
import { BodyReceiver, type BodySlot } from './body-receiver.ts';
import { Capacity, shortageText } from './capacity.ts';
import { Connections } from './connections.ts';
import { ServerExchange, type ServerExchangeDeps } from './exchange.ts';
import { bodyReadRefusal, givenBodyOf } from './given-body.ts';
import { preflightHeaders } from './headers.ts';
import { endAfter, Leaving, QUIET_MS } from './leaving.ts';
import { createNodeServer } from './node-server.ts';
import { type ListenPrivately, openServer } from './open-server.ts';
import type { ListenerSettings } from './options.ts';
import { CLOSE_MS, OwnResponses, type RefusedRequest } from './own-responses.ts';
import { countHostHeaders, pathOf, shareOfCaller } from './request-head.ts';
import type { Caller, HttpHandlers, Route } from './route.ts';
import { SessionAges, type SessionEnd } from './session-ages.ts';
import { SessionUsers } from './session-users.ts';
import { acceptTls } from './tls-connections.ts';
import type { TlsMaterial } from './tls-files.ts';
import type { Tokens } from './tokens.ts';
import { waitForQuietTurn, waitForTurn } from './turns.ts';
import { UnreadAnswers } from './unread-answers.ts';
import type { Users, UserVerdict } from './users/users.ts';
import type { WatchedFiles } from './watched-files.ts';

/** Pipelined requests on one connection; few clients send two. */
const MAX_PIPELINED = 16;
export interface HttpListenerOptions
  extends Omit<ListenerSettings, 'tokens' | 'tokenFile' | 'tls' | 'users' | 'identityMap'> {
  /** Undefined: plain HTTP. Closed by the caller. */
  readonly tls?: WatchedFiles<TlsMaterial> | undefined;
  /** The other workers, which serve the same sessions. */
  readonly peers?: Peers | undefined;
  /** Makes a unix socket private where another process creates it. */
  readonly privately?: ListenPrivately | undefined;
  /** The valid tokens; opened and closed by the caller. */
  readonly tokens: Tokens;
  /** Undefined without --listen-issuer. */
  readonly users?: Users | undefined;
  /** The handlers of the further paths. */
  readonly paths?: ReadonlyMap<string, HttpHandlers> | undefined;
  /** Chooses the handlers of a caller; by default, `handlers` serve all. */
  readonly route?: ((caller: Caller) => Route) | undefined;
  readonly clock: Clock;
  readonly handlers: HttpHandlers;
  /** Returns why requests would fail now, or undefined; must contain no secret. */
  readonly unreadyReason: () => Promise<string | undefined>;
  /** True where only clients on loopback addresses are served. */
  readonly loopbackOnly?: boolean;
  readonly onRefused: (refused: RefusedRequest) => void;
  /** Called with the address of each client whose TLS handshake failed, and the cause. */
  readonly onHandshakeFailed?: (address: string, cause: string) => void;
  /** Called with the address of each connection that is closed to make room. */
  readonly onDisconnected: (address: string) => void;
  /** Called at the end of each session of a client. */
  readonly onSessionEnded: (reason: SessionEnd, ageMs: number) => void;
}

/** Serves Streamable HTTP: admits or rejects requests and passes them to the handlers. */
export class HttpListener {
  readonly #options: HttpListenerOptions;
  /** Undefined where a server of the program passes the requests. */
  readonly #server: Server | undefined;
  readonly #bodies: BodyReceiver;
  readonly #exchangeDeps: ServerExchangeDeps;
  readonly #active = new ActiveRequests((socket) => this.#idle(socket));
  readonly #own: OwnResponses;
  readonly #connections: Connections | AttachedConnections;
  /** The requests in flight. */
  readonly #capacity: Capacity;
  /** Undefined where callers have no names. */
  readonly #sessions: SessionUsers | undefined;
  /** Defined from the announcement on. */
  #leaving: Leaving | undefined;
  /** Settles when the server is closed and so is every connection. */
  #closed: Promise<void> | undefined;
  /** Without a server, called once when no request is in flight. */
  #whenIdle: (() => void) | undefined;

  private constructor(options: HttpListenerOptions, server?: Server) {
    this.#options = options;
    const { maxClients, maxBodyBytes } = options;
    this.#bodies = new BodyReceiver({ maxClients, maxBodyBytes, continues: server !== undefined });
    this.#capacity = new Capacity(maxClients);
    this.#sessions = options.tokens.required || options.users ? new SessionUsers(options.peers) : undefined;
    this.#own = new OwnResponses({
      active: this.#active,
      clock: options.clock,
      maxHeaderBytes: options.maxHeaderBytes,
      onRefused: options.onRefused,
    });
    this.#exchangeDeps = {
      sessions: this.#sessions,
      ages: new SessionAges({
        clock: options.clock,
        peers: options.peers,
        onEnded: options.onSessionEnded,
      }),
      clock: options.clock,
      unread: new UnreadAnswers(),
      forwarded: options.forwardedHeaders,
    };
    this.#server = server;
    options.tokens.onChange(() => this.#cutRevoked());
    if (!server) {
      this.#connections = new AttachedConnections();
      return;
    }
    this.#connections = new Connections(
      options,
      (socket) => !this.#active.isBusy(socket),
      (socket, address) => {
        options.onDisconnected(address);
        socket.destroy();
      },
    );
    if (options.tls) acceptTls(server, this.#connections, (socket) => this.#connected(socket), options);
    else server.on('connection', (socket: Socket) => this.#connected(socket));
    server.on('request', (request, response) => this.#serve(request, response));
    // `Expect: 100-continue`: a refusal answers it without reading the body.
    server.on('checkContinue', (request, response) => this.#serve(request, response));
    server.on('clientError', (error: Error & { code?: string }, socket: Socket) =>
      this.#own.refuseUnparsable(error.code, socket, this.#connections.addressOf(socket)),
    );
  }

  /** @throws the error of the operating system, where the address cannot be listened on. */
  static async open(options: HttpListenerOptions): Promise<HttpListener> {
    const server = createNodeServer(options);
    const listener = new HttpListener(options, server);
    await openServer(server, options.address, options.privately);
    // On EMFILE, open connections are served and later ones may succeed.
    server.on('error', () => undefined);
    return listener;
  }

  /** A listener without a server: the program passes each request to `handle`. */
  static attach(options: HttpListenerOptions): HttpListener {
    return new HttpListener(options);
  }

  /**
   * Serves one request of the program's server.
   * @param body - the raw body, where the program has read it.
   */
  handle(request: IncomingMessage, response: ServerResponse, body?: unknown): void {
    const { socket } = request;
    const connections = this.#connections;
    if (connections instanceof AttachedConnections && !connections.has(socket)) this.#connected(socket);
    this.#serve(request, response, givenBodyOf(body));
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Requests in flight. */
  get requests(): number {
    return this.#capacity.taken;
  }

  /** The URL of the listener. */
  get url(): string {
    const { address, tls, path } = this.#options;
    const scheme = tls ? 'https' : 'http';
    if ('socketPath' in address) return `${scheme}+unix:${address.socketPath}${path || '/'}`;
    const bound = this.#server?.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
    return `${scheme}://${urlHost(address.host)}:${port}${path || '/'}`;
  }

  #connected(socket: Socket): void {
    this.#connections.add(socket, socket.remoteAddress);
    socket.on('close', () => {
      this.#connections.remove(socket);
      this.#active.endAll(socket);
    });
  }

  #serve(request: IncomingMessage, response: ServerResponse, body?: Buffer): void {
    response.on('error', ignore);
    request.on('error', ignore);
    if (this.#active.on(request.socket).length >= MAX_PIPELINED) {
      request.socket.destroy();
      return;
    }
    if (this.#active.isEnding(request.socket)) {
      // Counted, because Node keeps a response object for each.
      this.#active.track(request, response);
      request.resume();
      return;
    }
    if (this.#leaving?.isLast(request.socket)) this.#active.markLast(request, response);
    const faulty = framingRefusal(request.httpVersion, request.headers);
    if (faulty) {
      const address = this.#connections.addressOf(request.socket);
      this.#own.refuse(request, response, faulty, { address, token: undefined });
      return;
    }
    const { method = '', headers } = request;
    const path = pathOf(request);
    if (
      this.#server &&
      (path === '/healthz' || path === '/readyz') &&
      (method === 'GET' || method === 'HEAD')
    ) {
      this.#health(path, request, response);
      return;
    }
    const { tokens, users } = this.#options;
    const token = tokens.required ? tokens.nameOf(headers.authorization) : undefined;
    const authorized = token !== undefined || !tokens.required;
    const head = { method, path, headers, hostCount: countHostHeaders(request.rawHeaders), authorized };
    if (users && token === undefined) {
      this.#serveUser(users, request, response, head, body);
      return;
    }
    const address = this.#connections.addressOf(request.socket);
    this.#admit(request, response, head, { address, token, expiresAt: undefined, user: undefined }, body);
  }

  /** Serves a request without a static token: it needs the access token of a user. */
  #serveUser(
    users: Users,
    request: IncomingMessage,
    response: ServerResponse,
    head: RequestHead,
    body: Buffer | undefined,
  ): void {
    const follow = (verdict: UserVerdict): void => {
      if ('metadata' in verdict) {
        this.#own.send(request, response.writeHead(200, verdict.headers), verdict.metadata);
      } else {
        const { judged, token, user } = verdict;
        const address = this.#connections.addressOf(request.socket);
        this.#admit(request, response, judged, { address, token, expiresAt: user?.expiresAt, user }, body);
      }
    };
    const verdict = users.judge(head, this.#options);
    if (!(verdict instanceof Promise)) {
      follow(verdict);
      return;
    }
    const release = this.#active.track(request, response);
    void verdict.then((found) => {
      release();
      if (response.destroyed || request.socket.destroyed) return;
      if (this.#leaving?.isLast(request.socket)) this.#active.markLast(request, response);
      follow(found);
    });
  }

  #admit(
    request: IncomingMessage,
    response: ServerResponse,
    head: RequestHead,
    caller: Caller,
    body: Buffer | undefined,
  ): void {
    const { method, headers } = head;
    const refusal = this.#foreignRefusal(request, body) ?? admissionRefusal(head, this.#options);
    // A preflight request carries no token, so it does not admit its connection.
    if (!refusal && method === 'OPTIONS') {
      this.#own.send(request, response.writeHead(204, preflightHeaders(headers)));
      return;
    }
    const share = shareOfCaller(caller, headers['mcp-session-id']);
    const refused =
      refusal ??
      this.#sessions?.refusal(headers['mcp-session-id'], caller.token) ??
      this.#checkCapacity(request.socket, share);
    const route = refused ?? this.#options.route?.(caller);
    if (route && 'error' in route) {
      this.#own.refuse(request, response, route, caller);
      return;
    }
    const exchange = this.#beginExchange(request, response, caller, share, route?.release);
    const handlers = route?.handlers ?? this.#handlersAt(head.path);
    this.#handle(request, response, exchange, handlers, body);
  }

  #handlersAt(path: string): HttpHandlers {
    const { paths, handlers } = this.#options;
    return paths?.get(withoutSlash(path)) ?? handlers;
  }

  /** Why a request of a server of the program is not served. */
  #foreignRefusal(request: IncomingMessage, body: Buffer | undefined): HttpRefusal | undefined {
    if (this.#server) return undefined;
    const address = this.#connections.addressOf(request.socket);
    if (this.#options.loopbackOnly && address !== '' && !isLoopback(address)) return remoteRefusal(address);
    return body ? undefined : bodyReadRefusal(request);
  }

  /** A response on the connection has ended. */
  #idle(socket: Socket): void {
    this.#leaving?.markIdle(socket);
    if (this.#whenIdle) this.#endWhenIdle();
  }

  #beginExchange(
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
    share: Share,
    release: (() => void) | undefined,
  ): ServerExchange {
    const exchange = new ServerExchange(request, response, caller, this.#exchangeDeps);
    const giveBack = this.#capacity.take(share);
    // An access token cannot be revoked here: it expires.
    const revocable = caller.expiresAt === undefined ? caller.token : undefined;
    this.#active.track(request, response, revocable, () => {
      giveBack();
      exchange.settle();
      release?.();
    });
    return exchange;
  }

  #checkCapacity(socket: Socket, share: Share): HttpRefusal | undefined {
    const { maxClients: max, tokens, users } = this.#options;
    const shortage = this.#capacity.shortage(share, { soleGroup: !tokens.several && !users });
    const kinds = { max, things: 'requests in flight', option: '--max-clients' };
    if (shortage !== undefined) return listenerFull(shortageText(shortage, kinds));
    switch (this.#connections.admit(socket)) {
      case undefined:
        return undefined;
      case 'clients':
        return listenerFull(`${max} clients are served, as many as the proxy takes (--max-clients).`);
      default:
        return listenerFull(
          'Your address has as many connections as one may have (--max-clients-per-address).',
        );
    }
  }

  /** A stream ends when its token is revoked. */
  #cutRevoked(): void {
    for (const socket of this.#connections.sockets) {
      const isRevoked = ({ token }: ActiveRequest): boolean =>
        token !== undefined && !this.#options.tokens.has(token);
      if (this.#active.on(socket).some(isRevoked)) socket.destroy();
    }
  }

  #health(path: string, request: IncomingMessage, response: ServerResponse): void {
    const respond = (problem: string | undefined): void => {
      const headers = { 'content-type': 'text/plain', 'cache-control': 'no-store' };
      if (this.#leaving) response.shouldKeepAlive = false;
      this.#own.send(request, response.writeHead(problem ? 503 : 200, headers), `${problem ?? 'ok'}\n`);
    };
    if (path === '/healthz') respond(undefined);
    else if (this.#leaving) respond('leaving');
    else void this.#options.unreadyReason().then((reason) => respond(this.#leaving ? 'leaving' : reason));
  }

  #handle(...[request, response, exchange, handlers, body]: AdmittedRequest): void {
    if (request.method !== 'POST') this.#handleBodiless(request, response, exchange, handlers);
    else if (body) void this.#receivePost(request, response, exchange, handlers, body);
    // By then, node has parsed the bytes that came with the head. Requests that arrive together
    // also run together: in process.nextTick, a call costs a fifth more.
    else afterPoll(() => this.#handlePost(request, response, exchange, handlers));
  }

  /** Not async: its variables would live as long as a stream. */
  #handleBodiless(...[request, response, exchange, handlers]: AdmittedRequest): void {
    discard(request);
    const method = request.method === 'GET' ? 'GET' : 'DELETE';
    void waitForTurn(response, exchange).then((isItsTurn) => {
      if (isItsTurn) void handlers.forward(method, exchange);
    });
  }

  #handlePost(...[request, response, exchange, handlers]: AdmittedRequest): void {
    const body = this.#bodies.take(request, response);
    if (typeof body === 'string') void handlers.post(body, exchange);
    else if (body) this.#own.refuse(request, response, body, exchange.caller);
    else void this.#receivePost(request, response, exchange, handlers);
  }

  /** Not async: its variables would live as long as the call. */
  #receivePost(...[request, response, exchange, handlers, given]: AdmittedRequest): Promise<void> {
    const slot: BodySlot = { body: undefined };
    const release = (): void => slot.body?.release();
    return this.#bodies
      .receive(request, response, exchange, slot, given)
      .then((body) => {
        if (typeof body === 'string') return handlers.post(body, exchange);
        if (body) this.#own.refuse(request, response, body, exchange.caller);
        return undefined;
      })
      .then(release, (error: unknown) => {
        release();
        throw error;
      });
  }

  /** Reports not ready, and closes connections with few requests after their next response. */
  announce(): void {
    if (this.#leaving) return;
    this.#leaving = new Leaving(this.#options.clock);
    for (const socket of this.#idleSockets()) this.#leaving.markIdle(socket);
  }

  /**
   * Accepts no new connections, and closes each open one after its next response, or when it stays
   * without a request. Resolves when none is left, or after a moment.
   */
  async stopListening(): Promise<void> {
    const { clock } = this.#options;
    await waitForQuietTurn(clock);
    const closed = this.#stop();
    this.#closeAfterResponse();
    await settleWithin(clock, QUIET_MS, closed);
    // In such a turn, all requests that have arrived were read.
    await waitForQuietTurn(clock);
    this.#closeIdle();
  }

  /** Each open connection closes after the response in flight, or else after the next one. */
  #closeAfterResponse(): void {
    if (!this.#leaving?.closeAll()) return;
    for (const socket of this.#connections.sockets) {
      for (const { response } of this.#active.on(socket)) endAfter(response, this.#server && socket);
    }
  }

  /** `http.Server.close` would also cut responses that are still being sent. */
  #stop(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      if (this.#server) NetServer.prototype.close.call(this.#server, () => resolve());
      else this.#whenIdle = resolve;
    });
    this.#endWhenIdle();
    return this.#closed;
  }

  /** Connections without a request or a part of one. */
  #idleSockets(): Socket[] {
    const { sockets } = this.#connections;
    return this.#server ? sockets.filter((socket) => this.#active.isIdle(socket)) : [];
  }

  #closeIdle(): void {
    for (const socket of this.#idleSockets()) socket.destroy();
  }

  /** Reports not ready, closes idle connections, and each other one after its next response. */
  leave(): void {
    this.announce();
    this.#closeAfterResponse();
    this.#closeIdle();
  }

  /** Stops listening and gives the last responses a moment. Never throws. */
  async close(): Promise<void> {
    this.leave();
    await settleWithin(this.#options.clock, CLOSE_MS, this.#stop());
    this.#server?.closeAllConnections();
    if (!this.#server) this.#cutActive();
  }

  /** Cuts what is left of the requests of a server of the program, and nothing else of it. */
  #cutActive(): void {
    for (const socket of this.#connections.sockets) {
      if (this.#active.isBusy(socket)) socket.destroy();
    }
  }

  #endWhenIdle(): void {
    const { sockets } = this.#connections;
    if (this.#whenIdle && !sockets.some((socket) => this.#active.isBusy(socket))) this.#whenIdle();
  }
}

/** The last element is the body, where the program has read it. */
type AdmittedRequest = [IncomingMessage, ServerResponse, ServerExchange, HttpHandlers, (Buffer | undefined)?];

/** The end of the connection is handled where it closes. */
const ignore = (): void => undefined;
