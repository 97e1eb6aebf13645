import { type ChildProcess, spawn } from 'node:child_process';
import * as http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { freePort } from './connections.ts';
import { MCP_HEADERS } from './http-client.ts';
import type { Rpc } from './mcp-answers.ts';
import { parseJson } from './scripted-server.ts';
import { answerToServer, CLIENT_PARAMS, HANG_MS, type RpcId, SoakIds, type SoakPeer } from './soak-client.ts';

/** Clients of the listener, each with a session of its own. */
export const HTTP_CLIENTS = 4;
const MAX_RESUMES = 8;
const MAX_OPENINGS = 40;
const REOPEN_MS = 200;
const STREAM_AGAIN_MS = 500;

/** An error as the proxy would write it, for an exchange that ended without one. */
const failure = (reason: string, mayHaveRun: boolean): Rpc => ({
  error: { code: 0, data: { reason, mayHaveRun } },
});

/** One client: its session at the server, opened on first use and again after a loss. */
class HttpClient {
  readonly #post: (body: Rpc, headers: http.OutgoingHttpHeaders) => Promise<http.IncomingMessage>;
  readonly #keepStream: (sessionId: string) => Promise<void>;
  #id: string | undefined;
  #opening: Promise<string | undefined> | undefined;
  #openings = 0;

  constructor(
    post: (body: Rpc, headers: http.OutgoingHttpHeaders) => Promise<http.IncomingMessage>,
    keepStream: (sessionId: string) => Promise<void>,
  ) {
    this.#post = post;
    this.#keepStream = keepStream;
  }

  get id(): string | undefined {
    return this.#id;
  }

  drop(id: string): void {
    if (this.#id === id) this.#id = undefined;
  }

  async open(): Promise<string | undefined> {
    if (this.#id !== undefined) return this.#id;
    this.#opening ??= this.#tryOpen().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #tryOpen(): Promise<string | undefined> {
    for (let attempt = 0; attempt < MAX_OPENINGS; attempt++) {
      const initialize = { id: `open-${++this.#openings}`, method: 'initialize', params: CLIENT_PARAMS };
      const response = await this.#post(initialize, {}).catch(() => undefined);
      const id = response?.headers['mcp-session-id'];
      const done = response && (await isComplete(response));
      if (done && response.statusCode === 200 && typeof id === 'string') {
        const accepted = await this.#post({ method: 'notifications/initialized' }, sessionHeaders(id)).catch(
          () => undefined,
        );
        if (accepted && (await isComplete(accepted)) && accepted.statusCode === 202) {
          this.#id = id;
          void this.#keepStream(id);
          return id;
        }
      }
      await wait(REOPEN_MS);
    }
    return undefined;
  }
}

const sessionHeaders = (id: string): http.OutgoingHttpHeaders => ({
  'mcp-session-id': id,
  'mcp-protocol-version': CLIENT_PARAMS.protocolVersion,
});

/** Reads a body to its end; false where it is cut. */
async function isComplete(response: http.IncomingMessage): Promise<boolean> {
  return (await bodyOf(response)) !== undefined;
}

async function bodyOf(response: http.IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk);
    return Buffer.concat(chunks).toString('utf8');
  } catch {
    return undefined;
  }
}

/** Clients that use the listener of the spawned bin over real sockets. */
export class HttpSoakClient implements SoakPeer {
  strays = 0;
  stderr = '';
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  readonly #clients: HttpClient[];
  readonly #cancelled = new Map<RpcId, () => void>();
  readonly #ids = new SoakIds();
  #turn = 0;
  #ended = false;

  constructor(binPath: string, args: readonly string[], keys: NodeJS.ProcessEnv, port: number) {
    this.#url = `http://127.0.0.1:${port}/mcp`;
    const listen = ['--listen', `127.0.0.1:${port}`];
    const env = { PATH: process.env.PATH ?? '', ...keys };
    this.#child = spawn(process.execPath, [binPath, ...args, ...listen], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (this.stderr.length < 10_000) this.stderr += text;
    });
    this.exited = new Promise((resolve) => this.#child.once('close', resolve));
    this.#clients = Array.from(
      { length: HTTP_CLIENTS },
      () => new HttpClient(this.#post, (id) => this.#keepStream(id)),
    );
  }

  static async start(
    binPath: string,
    args: readonly string[],
    keys: NodeJS.ProcessEnv,
  ): Promise<HttpSoakClient> {
    return new HttpSoakClient(binPath, args, keys, await freePort());
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  nextId(): RpcId {
    return this.#ids.next();
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async shakeHands(): Promise<void> {
    while (this.#child.exitCode === null) {
      const ready = await this.#request('GET', {}, undefined, '/healthz').catch(() => undefined);
      if (ready && (await isComplete(ready)) && ready.statusCode === 200) break;
      await wait(20);
    }
    await Promise.all(this.#clients.map((client) => client.open()));
  }

  /** Clients delete their sessions, then the supervisor ends the process. */
  end(): void {
    this.#ended = true;
    const deletions = this.#clients.map(async ({ id }) => {
      if (id === undefined) return;
      const response = await this.#request('DELETE', sessionHeaders(id)).catch(() => undefined);
      if (response) await isComplete(response);
    });
    void Promise.all(deletions).then(() => {
      this.#agent.destroy();
      this.signal('SIGTERM');
    });
  }

  #request(
    method: string,
    headers: http.OutgoingHttpHeaders,
    body?: Rpc,
    path?: string,
  ): Promise<http.IncomingMessage> {
    const url = path === undefined ? this.#url : new URL(path, this.#url);
    return new Promise((resolve, reject) => {
      const request = http.request(url, { method, headers, agent: this.#agent });
      request.on('response', resolve).on('error', reject);
      request.end(body === undefined ? undefined : JSON.stringify({ jsonrpc: '2.0', ...body }));
    });
  }

  readonly #post = (body: Rpc, headers: http.OutgoingHttpHeaders): Promise<http.IncomingMessage> =>
    this.#request('POST', { ...MCP_HEADERS, ...headers }, body);

  async ask(method: string, params: object, id = this.nextId()): Promise<Rpc | undefined> {
    const client = this.#clients[this.#turn++ % HTTP_CLIENTS];
    const sessionId = await client?.open();
    if (!client || sessionId === undefined) return failure('no-session', false);
    const late = new AbortController();
    const hung = wait(HANG_MS, undefined, { signal: late.signal }).catch(() => undefined);
    const cancelled = new Promise<Rpc>((resolve) => {
      this.#cancelled.set(id, () => {
        resolve({});
        const notification = { method: 'notifications/cancelled', params: { requestId: id } };
        void this.#send(notification, sessionId);
      });
    });
    const answered = this.#exchange(client, sessionId, { id, method, params }).catch(() =>
      failure('cut', true),
    );
    return Promise.race([answered, cancelled, hung]).finally(() => {
      late.abort();
      this.#cancelled.delete(id);
    });
  }

  cancel(id: RpcId): void {
    this.#cancelled.get(id)?.();
  }

  /** A message that gets no answer. */
  async #send(message: Rpc, sessionId: string): Promise<void> {
    const response = await this.#post(message, sessionHeaders(sessionId)).catch(() => undefined);
    if (response) await isComplete(response);
  }

  async #exchange(client: HttpClient, sessionId: string, request: Rpc): Promise<Rpc> {
    let response = await this.#post(request, sessionHeaders(sessionId));
    if (response.statusCode === 404) client.drop(sessionId);
    if (!isStream(response)) {
      const text = await bodyOf(response);
      const answer = text === undefined ? undefined : (parseJson(text) as Rpc | undefined);
      if (!answer)
        return failure(text === undefined ? 'cut' : `HTTP ${response.statusCode} without JSON-RPC`, true);
      if (answer.id !== request.id && answer.id !== null && answer.id !== undefined) this.strays++;
      return answer;
    }
    const read: StreamReading = { answer: undefined, lastEventId: undefined };
    for (let resumes = 0; ; resumes++) {
      await this.#readStream(response, sessionId, request.id, read);
      if (read.answer || read.lastEventId === undefined || resumes === MAX_RESUMES) break;
      await wait(REOPEN_MS);
      response = await this.#request('GET', {
        accept: 'text/event-stream',
        'last-event-id': read.lastEventId,
        ...sessionHeaders(sessionId),
      });
      if (!isStream(response)) {
        await isComplete(response);
        break;
      }
    }
    return read.answer ?? failure('cut', true);
  }

  /** Reads to the end of the stream. Server requests are answered in the session that sent them. */
  async #readStream(
    response: http.IncomingMessage,
    sessionId: string,
    awaited: unknown,
    read: StreamReading,
  ): Promise<void> {
    const parser = createParser({
      onEvent: ({ id, data }) => {
        if (id !== undefined) read.lastEventId = id;
        const message = parseJson(data) as Rpc | undefined;
        if (!message) return;
        if (message.method === 'elicitation/create') void this.#send(answerToServer(message), sessionId);
        if (message.method !== undefined) return;
        if (message.id !== awaited || read.answer) this.strays++;
        else read.answer = message;
      },
    });
    response.setEncoding('utf8').on('data', (text: string) => parser.feed(text));
    await new Promise((resolve) => response.once('close', resolve));
  }

  /** The standalone stream, opened again after each end while its session is the client's. */
  async #keepStream(sessionId: string): Promise<void> {
    const isCurrent = (): boolean => !this.#ended && this.#clients.some(({ id }) => id === sessionId);
    while (isCurrent()) {
      const headers = { accept: 'text/event-stream', ...sessionHeaders(sessionId) };
      const response = await this.#request('GET', headers).catch(() => undefined);
      if (response && isStream(response)) {
        await this.#readStream(response, sessionId, undefined, { answer: undefined, lastEventId: undefined });
      } else if (response) await isComplete(response);
      if (response?.statusCode === 404 || response?.statusCode === 405) return;
      await wait(STREAM_AGAIN_MS);
    }
  }
}

interface StreamReading {
  answer: Rpc | undefined;
  lastEventId: string | undefined;
}

const isStream = ({ headers, statusCode }: http.IncomingMessage): boolean =>
  statusCode === 200 && String(headers['content-type']).startsWith('text/event-stream');
