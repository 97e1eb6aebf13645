import { ERROR_SOURCE } from '../core/errors/errors.ts';
import {
  cancellationOf,
  errorAnswer,
  idKey,
  idText,
  isObject,
  type JsonObject,
  type Notification,
  paramsOf,
  type Request,
  type Response,
} from '../core/jsonrpc/message.ts';
import { readUpstream } from '../core/jsonrpc/parse.ts';
import { Events } from '../core/pipeline/events.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { logEvents } from '../observe/log.ts';
import type { LogLevel } from '../observe/options.ts';
import { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';
import { VERSION } from '../version.ts';

/** The newest revision with sessions; a server that speaks an older one says so in its answer. */
const SESSION_REVISION = '2025-11-25';
/** The revision without them, for servers that speak no other. */
const STATELESS_REVISION = '2026-07-28';
const CLIENT_INFO = JSON.stringify({ name: 'mcp-sigv4-proxy-cli', version: VERSION });
const META = 'io.modelcontextprotocol/';
const SERVER_INFO = `${META}serverInfo`;
const METHOD_NOT_FOUND = -32601;
/** HeaderMismatch and UnsupportedProtocolVersion of that revision, and what a server says to a method that it never heard of. */
const NO_HANDSHAKE_CODES: readonly unknown[] = [-32020, -32022, METHOD_NOT_FOUND];

/** Members of an object as JSON text, so that what a person wrote goes out as it was written. */
export type JsonTexts = Readonly<Record<string, string>>;

const objectText = (members: JsonTexts): string =>
  `{${Object.entries(members)
    .map(([key, value]) => `${JSON.stringify(key)}:${value}`)
    .join(',')}}`;

export interface ClientSessionDeps {
  readonly settings: Settings;
  /** Aborts what is under way: the server is told, and whoever waits gets the signal's reason. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  readonly events?: Events;
  readonly onProgress?: (params: JsonObject) => void;
  /** A question that a person or a model would have to answer was turned down; told of the method and its message. */
  readonly onDeclined?: (method: string, message: string) => void;
}

interface AnswerWaiter {
  readonly request: Request;
  readonly resolve: (response: Response) => void;
}

/** What the answer to `open` says of the server; whatever it left out, or misspelled, is absent. */
export interface ServerFacts {
  readonly name: string | undefined;
  readonly version: string | undefined;
  readonly protocolVersion: string | undefined;
  readonly offersTools: boolean;
}

/** An MCP client in this process: one conversation through the proxy, as a client on stdio would have it. */
export class ClientSession {
  readonly proxy: McpProxy;
  readonly #settings: Settings;
  readonly #deps: ClientSessionDeps;
  readonly #connection: ReturnType<McpProxy['connect']>;
  readonly #waiting = new Map<string, AnswerWaiter>();
  readonly #flushLog: () => Promise<void>;
  #nextId = 0;
  #stateless = false;

  constructor(deps: ClientSessionDeps) {
    const { settings, clock = systemClock, events = new Events() } = deps;
    this.#deps = deps;
    // The limit protects clients that read lines; whoever asks here has no such trouble.
    this.#settings = settings.from.maxLine === undefined ? { ...settings, maxLine: 0 } : settings;
    const { logLevel, logFile: file, logFormat: format } = settings;
    const log = logEvents(events, { level: logLevel as LogLevel, file, format });
    this.#flushLog = () => log.flush();
    this.proxy = new McpProxy({ ...this.#settings, pages: 'pass' }, { clock, events });
    this.#connection = this.proxy.connect(async (text) => this.#receive(text));
  }

  /** Meets the server: by a handshake, or, where it speaks no revision that has one, by asking what it is. */
  async open(): Promise<Response> {
    const params = {
      protocolVersion: JSON.stringify(SESSION_REVISION),
      capabilities: '{}',
      clientInfo: CLIENT_INFO,
    };
    const answer = await this.request('initialize', params);
    if (answer.outcome === 'result') {
      this.#connection.receive('{"jsonrpc":"2.0","method":"notifications/initialized"}');
      return answer;
    }
    if (!knowsNoHandshake(answer)) return answer;
    this.#stateless = true;
    const discovered = await this.request('server/discover');
    // The answer to the handshake is the one that says what is wrong.
    return discovered.outcome === 'result' ? discovered : answer;
  }

  /**
   * Sends a request.
   * @throws the signal's reason when it aborts.
   */
  request(method: string, params: JsonTexts = {}, meta: JsonTexts = {}): Promise<Response> {
    const { signal } = this.#deps;
    const id = this.#nextId++;
    const said = this.#stateless ? { ...CLAIMS, ...meta } : meta;
    const all = Object.keys(said).length > 0 ? { ...params, _meta: objectText(said) } : params;
    const text = objectText({
      jsonrpc: '"2.0"',
      id: String(id),
      method: JSON.stringify(method),
      ...(Object.keys(all).length > 0 ? { params: objectText(all) } : {}),
    });
    const request: Request = { kind: 'request', id, method, text, json: JSON.parse(text) };
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(idKey(id));
        // The protocol forbids cancelling initialize.
        if (method !== 'initialize') this.#connection.receive(cancellationOf(request, 'interrupted').text);
        reject(signal.reason);
      };
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      signal.addEventListener('abort', leave, { once: true });
      const settle = (response: Response): void => {
        signal.removeEventListener('abort', leave);
        resolve(response);
      };
      this.#waiting.set(idKey(id), { request, resolve: settle });
      this.#connection.receive(text);
    });
  }

  /** Ends the session with the server, bounded. Never throws. */
  async close(): Promise<void> {
    this.proxy.refuseQueued();
    await this.#connection.drain(this.#settings.drainTimeout * 1_000);
    await this.proxy.close();
    await this.#flushLog();
  }

  #receive(text: string): void {
    for (const message of readUpstream(text)) {
      switch (message.kind) {
        case 'response':
          this.#take(message);
          break;
        case 'request':
          this.#connection.receive(this.#answerTo(message));
          break;
        case 'notification':
          this.#hear(message);
      }
    }
  }

  #take(response: Response): void {
    if (response.id === undefined) return;
    const key = idKey(response.id);
    const waiter = this.#waiting.get(key);
    this.#waiting.delete(key);
    waiter?.resolve(response);
  }

  #hear(notification: Notification): void {
    if (notification.method === 'notifications/progress') this.#deps.onProgress?.(paramsOf(notification));
  }

  /** A server may ask all the same for what was not offered to it; left alone, its call would wait for ever. */
  #answerTo(request: Request): string {
    const id = idText(request);
    const answer = (result: string): string => `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
    const { message } = paramsOf(request);
    switch (request.method) {
      case 'ping':
        return answer('{}');
      case 'elicitation/create':
        this.#deps.onDeclined?.(request.method, typeof message === 'string' ? message : '');
        return answer('{"action":"decline"}');
      default:
        this.#deps.onDeclined?.(request.method, '');
        return errorAnswer(
          { code: METHOD_NOT_FOUND, message: `Method not found: nobody answers ${request.method} here` },
          id,
        ).text;
    }
  }
}

/** What every message of the revision without sessions says of itself. */
const CLAIMS: JsonTexts = {
  [`${META}protocolVersion`]: JSON.stringify(STATELESS_REVISION),
  [`${META}clientInfo`]: CLIENT_INFO,
  [`${META}clientCapabilities`]: '{}',
};

function knowsNoHandshake({ json }: Response): boolean {
  const error = isObject(json.error) ? json.error : {};
  const isOurs = isObject(error.data) && error.data.source === ERROR_SOURCE;
  return !isOurs && NO_HANDSHAKE_CODES.includes(error.code);
}

/** Reads the answer to `open`. */
export function serverFactsOf({ json }: Response): ServerFacts {
  const result = isObject(json.result) ? json.result : {};
  const { serverInfo = isObject(result._meta) ? result._meta[SERVER_INFO] : undefined } = result;
  const info = isObject(serverInfo) ? serverInfo : {};
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const stateless = Array.isArray(result.supportedVersions) ? STATELESS_REVISION : undefined;
  return {
    name: text(info.name),
    version: text(info.version),
    protocolVersion: text(result.protocolVersion) ?? stateless,
    offersTools: isObject(result.capabilities) && isObject(result.capabilities.tools),
  };
}

/** What an error answer says, for a person: whose error it is, and its words. */
export function errorTextOf({ json }: Response): string {
  const error = isObject(json.error) ? json.error : {};
  const message = typeof error.message === 'string' ? error.message : 'no message';
  const isOurs = isObject(error.data) && error.data.source === ERROR_SOURCE;
  return isOurs ? message : `The server answered with error ${String(error.code)}: ${message}`;
}
