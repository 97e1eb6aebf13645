import * as http from 'node:http';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';
import { type CutBy, cut, type Fault, type FaultPlan, resetAt, sendLost } from './faults.ts';
import { EventWriter, type Rpc, sendJson } from './mcp-answers.ts';
import { type Context, errorOf, type Session, SessionServer } from './mcp-behaviours.ts';
import {
  answerRefused,
  type RecordedRequest,
  readBody,
  recorded,
  verifyIncoming,
} from './scripted-server.ts';
import { signingVerify } from './signing.ts';

/** Where a request is cut that the server has not read yet, so that nothing can have run. */
export type UnreadCut = 'connect' | 'head' | 'body';

const TOOLS: readonly unknown[] = [
  { name: 'mark', description: 'Runs, and is logged', inputSchema: { type: 'object' } },
  {
    name: 'look',
    description: 'Only looks',
    inputSchema: { type: 'object' },
    annotations: { readOnlyHint: true },
  },
];

/** The answer may have met a fault on its way. */
const MAX_QUESTION_MS = 500;

interface Replay {
  readonly pieces: Rpc[];
  readonly by: CutBy;
  readonly retryMs: number | undefined;
}

/**
 * A session server that fails as told. It lives on one port through restarts, verifies every
 * signature, and writes down what matters afterwards: which call ran how often, which sessions were
 * opened, deleted and lost.
 */
export class FaultServer {
  readonly mcp: SessionServer;
  /** How often each token was executed, over all restarts. */
  readonly executions = new Map<string, number>();
  /** `initialize` requests that came in, whatever became of them. */
  initializes = 0;
  deletes = 0;
  refusedSignatures = 0;
  /**
   * Answers of the client that came to what was asked, in the session that asked; and those that
   * did not.
   */
  questionsAnswered = 0;
  misrouted = 0;
  /** Every request that was read: what it was, and the status of its response, if that began. */
  readonly served: { readonly what: string; status: number | undefined }[] = [];
  /** Last-Event-ID of every GET that had one. */
  readonly resumes: string[] = [];
  /** The fault of every request that the queue of `inject` says nothing about. */
  plan: FaultPlan = () => ({ kind: 'none' });
  readonly port: number;
  readonly url: string;
  readonly #queued = new Map<string, Fault[]>();
  readonly #replays = new Map<string, Replay>();
  /** By session and id: each session counts its own from 0. */
  readonly #questions = new Map<string, { readonly token: string; readonly answered: () => void }>();
  readonly #asked = new Map<string | undefined, number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #unread: { at: UnreadCut; by: CutBy } | undefined;
  #server: http.Server;
  #connections: Connections;
  #streams = 0;
  #restarting: Promise<void> | undefined;

  private constructor(port: number, server: http.Server, connections: Connections) {
    this.mcp = new SessionServer({
      tools: TOOLS,
      on: { 'tools/call': (request, response, context) => this.#call(request, response, context) },
    });
    this.port = port;
    this.url = `http://127.0.0.1:${port}/mcp`;
    this.#server = server;
    this.#connections = connections;
    this.#listen();
  }

  static async start(): Promise<FaultServer> {
    const server = http.createServer();
    const connections = new Connections(server);
    const port = await listenOnLoopback(server);
    const faulty = new FaultServer(port, server, connections);
    afterThisTest(() => faulty.close());
    return faulty;
  }

  /** The next requests of this kind get these faults, one each, in order. */
  inject(what: string, ...faults: readonly Fault[]): void {
    this.#queued.set(what, [...(this.#queued.get(what) ?? []), ...faults]);
  }

  /**
   * Cuts the next POST before it is read: when its connection comes, at its headers, or in the
   * middle of its body.
   */
  cutUnread(at: UnreadCut, by: CutBy): void {
    this.#unread = { at, by };
  }

  get openSockets(): number {
    return this.#connections.open;
  }

  /**
   * Sessions whose client has finished the handshake, and that are neither deleted nor forgotten.
   */
  get liveSessions(): readonly Session[] {
    return [...this.mcp.sessions.values()].filter(({ initialized }) => initialized);
  }

  forget(id: string | undefined): void {
    for (const stream of this.mcp.sessions.get(id)?.streams ?? []) stream.destroy();
    this.mcp.sessions.delete(id);
  }

  /**
   * Dies and comes back on the same port: connections cut, sessions and what was to be replayed
   * forgotten.
   */
  restart(): Promise<void> {
    this.#restarting ??= this.#startAgain().finally(() => {
      this.#restarting = undefined;
    });
    return this.#restarting;
  }

  async #startAgain(): Promise<void> {
    this.mcp.forgetSessions();
    this.#replays.clear();
    await this.goDown();
    await this.comeBack();
  }

  /** Nothing listens any more; what it knows stays. */
  goDown(): Promise<void> {
    return shut(this.#server, this.#connections);
  }

  async comeBack(): Promise<void> {
    this.#server = http.createServer();
    this.#connections = new Connections(this.#server);
    await listenOnLoopback(this.#server, this.port);
    this.#listen();
  }

  async close(): Promise<void> {
    await this.#restarting;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.goDown();
  }

  #listen(): void {
    this.#server.requestTimeout = 0;
    this.#server.on('connection', (socket) => {
      if (this.#unread?.at !== 'connect') return;
      if (this.#unread.by === 'rst') socket.resetAndDestroy();
      else socket.destroy();
      this.#unread = undefined;
    });
    this.#server.on('request', (incoming: http.IncomingMessage, response: http.ServerResponse) => {
      response.on('error', () => undefined);
      // A client that is cut within its request is not served.
      this.#serve(incoming, response).catch(() => response.destroy());
    });
  }

  async #serve(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (this.#unread && incoming.method === 'POST') {
      const { at, by } = this.#unread;
      this.#unread = undefined;
      if (at === 'body') await new Promise((resolve) => incoming.once('data', resolve));
      cut(response, by);
      return;
    }
    const body = await readBody(incoming);
    const verification = verifyIncoming(incoming, body, signingVerify);
    if (!verification.ok) {
      this.refusedSignatures++;
      answerRefused(response, verification);
      return;
    }
    const request = recorded(incoming, body, this.#connections, verification);
    const what = request.method === 'POST' ? (request.rpc.method ?? 'response') : request.method;
    const entry: (typeof this.served)[number] = { what, status: undefined };
    this.served.push(entry);
    response.on('close', () => {
      entry.status = response.headersSent ? response.statusCode : undefined;
    });
    if (what === 'initialize') this.initializes++;
    if (what === 'DELETE') this.deletes++;
    if (what === 'response') this.#answered(request);
    await this.#fail(this.#queued.get(what)?.shift() ?? this.plan(what), request, response);
  }

  async #fail(fault: Fault, request: RecordedRequest, response: http.ServerResponse): Promise<void> {
    const sessionId = String(request.headers['mcp-session-id'] ?? '');
    const { id } = request.rpc;
    switch (fault.kind) {
      case 'status':
        if (fault.status >= 500) this.#execute(request);
        if (fault.retryAfter !== undefined) response.setHeader('retry-after', fault.retryAfter);
        response.writeHead(fault.status, { 'content-type': 'text/plain' }).end(`status ${fault.status}`);
        return;
      case 'reset':
        resetAt(response, fault.at, fault.by, this.#execute(request));
        return;
      case 'hang':
        this.#execute(request);
        await this.#wait(fault.ms);
        cut(response, 'rst');
        return;
      case 'restart':
        this.#execute(request);
        await this.restart();
        return;
      case 'lost':
        this.forget(sessionId);
        sendLost(response, fault.form, id);
        return;
      case 'stream':
        if (!this.mcp.sessions.has(sessionId)) break;
        this.#breakOff(fault, this.#execute(request), response);
        return;
      case 'forget':
        if (fault.which === 'all') this.mcp.forgetSessions();
        else this.forget(sessionId);
        break;
      case 'slow-headers':
        await this.#wait(fault.ms);
        break;
      case 'close-after':
        response.shouldKeepAlive = true;
        response.on('finish', () => response.socket?.end());
        break;
      default:
    }
    if (request.method === 'GET' && request.headers['last-event-id'] !== undefined)
      this.#resume(request, response);
    else await this.mcp.behaviour(request, response);
  }

  /**
   * Runs the tool, if it is a call of one, and gives the answer. A session that is gone runs
   * nothing.
   */
  #execute({ rpc, headers }: RecordedRequest): Rpc {
    const { name, arguments: args } = rpc.params ?? {};
    const token = typeof args === 'object' && args !== null && 'token' in args ? String(args.token) : '';
    const known = this.mcp.sessions.has(String(headers['mcp-session-id'] ?? ''));
    if (rpc.method === 'tools/call' && known) {
      const key = name === 'look' ? `look ${token}` : token;
      this.executions.set(key, (this.executions.get(key) ?? 0) + 1);
    }
    const isError = typeof args === 'object' && args !== null && 'fails' in args ? { isError: true } : {};
    return { jsonrpc: '2.0', id: rpc.id, result: { content: [{ type: 'text', text: token }], ...isError } };
  }

  async #call(request: RecordedRequest, response: http.ServerResponse, { session }: Context): Promise<void> {
    if (!session) {
      sendLost(response, '404', request.rpc.id);
      return;
    }
    const args = request.rpc.params?.arguments;
    const answer = this.#execute(request);
    if (typeof args === 'object' && args !== null && 'ask' in args) {
      const events = new EventWriter(response);
      await this.#ask(events, session.id, 'token' in args ? String(args.token) : '');
      events.send(answer);
      events.end();
      return;
    }
    if (typeof args === 'object' && args !== null && 'ms' in args) await this.#wait(Number(args.ms));
    sendJson(response, 200, answer);
  }

  /** Asks the client on the call's own stream, and does not wait for ever. */
  async #ask(events: EventWriter, session: string | undefined, token: string): Promise<void> {
    const id = this.#asked.get(session) ?? 0;
    this.#asked.set(session, id + 1);
    const answered = new Promise<void>((resolve) => {
      this.#questions.set(`${session} ${id}`, { token, answered: resolve });
    });
    const params = { message: token, requestedSchema: { type: 'object', properties: {} } };
    events.send({ jsonrpc: '2.0', id, method: 'elicitation/create', params });
    await Promise.race([answered, this.#wait(MAX_QUESTION_MS)]);
  }

  #answered({ headers, rpc }: RecordedRequest): void {
    const question = this.#questions.get(`${headers['mcp-session-id']} ${JSON.stringify(rpc.id)}`);
    const { content } = (rpc.result ?? {}) as { content?: { token?: string } };
    if (!question || content?.token !== question.token) {
      this.misrouted++;
      return;
    }
    this.questionsAnswered++;
    question.answered();
  }

  /**
   * Each piece but the last is a notification; ids name the stream and how many pieces are through.
   */
  #breakOff(
    { ids, pieces, by, retryMs }: Extract<Fault, { kind: 'stream' }>,
    answer: Rpc,
    response: http.ServerResponse,
  ): void {
    const events = new EventWriter(response);
    if (!ids) {
      response.write(': \n\n', () => cut(response, by));
      return;
    }
    const stream = String(this.#streams++);
    const passing = (at: number): Rpc => ({
      jsonrpc: '2.0',
      method: 'notifications/message',
      params: { level: 'info', data: `piece ${at}` },
    });
    const all = [...Array.from({ length: pieces - 1 }, (_, at) => passing(at + 1)), answer];
    this.#replays.set(stream, { pieces: all, by, retryMs });
    events.prime(`${stream}-0`, retryMs);
    if (by === 'fin') events.end();
    else response.write(': \n\n', () => cut(response, by));
  }

  #resume(request: RecordedRequest, response: http.ServerResponse): void {
    const last = String(request.headers['last-event-id']);
    this.resumes.push(last);
    const [stream = '', at = ''] = last.split('-');
    const replay = this.#replays.get(stream);
    if (!replay || !this.mcp.sessions.has(String(request.headers['mcp-session-id'] ?? ''))) {
      sendJson(response, 404, errorOf(null, -32001, 'Nothing to resume'));
      return;
    }
    const next = Number(at);
    const piece = replay.pieces[next];
    const events = new EventWriter(response);
    if (piece) events.send(piece, `${stream}-${next + 1}`);
    if (next + 1 >= replay.pieces.length) this.#replays.delete(stream);
    if (replay.by === 'fin') events.end();
    else response.write(': \n\n', () => cut(response, replay.by));
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        resolve();
      }, ms);
      this.#timers.add(timer);
    });
  }
}
