import type { Client, RequestOptions, VersionNegotiationMode } from '@modelcontextprotocol/client';
import { ERROR_SOURCE } from '../core/errors/errors.ts';
import {
  isObject,
  type JsonObject,
  METHOD_NOT_FOUND,
  type Response,
  toOneLine,
} from '../core/jsonrpc/message.ts';
import { Events } from '../core/pipeline/events.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { abortable, sleep } from '../core/time/waits.ts';
import { logEvents } from '../observe/log.ts';
import type { LogLevel } from '../observe/options.ts';
import { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';
import { VERSION } from '../version.ts';
import { ProxyTransport, STATELESS_REVISION } from './proxy-transport.ts';

const CLIENT_INFO = { name: 'mcp-sigv4-proxy-cli', version: VERSION };
/**
 * HeaderMismatch and UnsupportedProtocolVersion of the revision without sessions, and an unknown
 * method.
 */
const NO_HANDSHAKE_CODES: readonly unknown[] = [-32020, -32022, METHOD_NOT_FOUND];
/**
 * The longest timer of Node: --timeout and its siblings limit requests, and each says so in its
 * error.
 */
const MAX_TIMER_MS = 2_147_483_647;
/** Text, because some servers treat a progress token of 0 as no token. */
const PROGRESS_TOKEN = 'call';
/** The extension that lets a server of 2026-07-28 answer a call with a task. */
const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';
/** The commands show every result as the server sent it, valid or not. */
const ANY_RESULT = {
  '~standard': { version: 1, vendor: 'mcp-sigv4-proxy', validate: (value: unknown) => ({ value }) },
} as const;

export interface CommandClientDeps {
  readonly settings: Settings;
  /** Cancels the request in flight; its caller gets the signal's reason. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  readonly events?: Events;
  /** Watches a wait for the server, which the text describes. */
  readonly watch?: <T>(awaited: string, work: Promise<T>) => Promise<T>;
  readonly onProgress?: (params: JsonObject) => void;
  /** Reports a request of the server that needs a person or a model, and was declined. */
  readonly onDeclined?: (method: string, message: string) => void;
}

/**
 * The MCP client of the commands: the SDK's client, through a proxy in this process.
 */
export class CommandClient {
  readonly proxy: McpProxy;
  readonly #settings: Settings;
  readonly #deps: CommandClientDeps;
  readonly #flushLog: () => Promise<void>;
  /** Aborts with a reason that the server may read. */
  readonly #interrupted = new AbortController();
  #client: Client | undefined;
  #transport: ProxyTransport | undefined;
  /** The `_meta` of each request of the stateless era; undefined in a session. */
  #envelope: JsonObject | undefined;

  constructor(deps: CommandClientDeps) {
    const { settings, signal, clock = systemClock, events = new Events() } = deps;
    this.#deps = deps;
    // --max-line protects clients that read lines; no line is read here.
    this.#settings = settings.from.maxLine === undefined ? { ...settings, maxLine: 0 } : settings;
    const { logLevel, logFile: file, logFormat: format } = settings;
    const log = logEvents(events, { level: logLevel as LogLevel, file, format });
    this.#flushLog = () => log.flush();
    this.proxy = new McpProxy({ ...this.#settings, pages: 'pass', limits: undefined }, { clock, events });
    signal.addEventListener('abort', () => this.#interrupted.abort('interrupted'), { once: true });
  }

  /**
   * Connects: by `initialize`, or by `server/discover` where the server refuses `initialize`
   * because it knows no revision with sessions. The SDK's own order costs servers with sessions one
   * more request.
   * @returns the server's answer; an error answer where it accepts neither.
   */
  async open(): Promise<Response> {
    const answer = await this.#connect('legacy');
    if (answer.outcome === 'result' || !isWithoutSessions(answer)) return answer;
    const discovered = await this.#connect({ pin: STATELESS_REVISION });
    // The answer to initialize names the cause.
    return discovered.outcome === 'result' && this.#client?.transport ? discovered : answer;
  }

  /** Sends one request. Only one may be in flight. */
  request(method: string, params: JsonObject = {}): Promise<Response> {
    const { signal } = this.#deps;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (!this.#client || !this.#transport) throw new TypeError('a request before open()');
    this.#transport.lastResponse = undefined;
    return this.#responseAfter(method, this.#send(method, params, this.#options()));
  }

  /**
   * Calls a tool. Only one request may be in flight.
   * @param argumentsText - a JSON object, which the server receives as it is written here.
   * @param asTask - asks the server for a task, whose result is requested later.
   */
  callTool(name: string, argumentsText: string, { asTask = false } = {}): Promise<Response> {
    if (this.#transport) this.#transport.argumentsText = toOneLine(argumentsText);
    const _meta = { progressToken: PROGRESS_TOKEN };
    return this.request('tools/call', { name, arguments: {}, ...(asTask ? { task: {} } : {}), _meta });
  }

  /**
   * Sends a request although the command was interrupted, within the drain time. Never throws.
   * @returns true if the server accepted it.
   */
  async requestAtEnd(method: string, params: JsonObject): Promise<boolean> {
    const timeout = this.#settings.drainTimeout * 1_000;
    const { clock = systemClock } = this.#deps;
    const answered = new AbortController();
    const accepted = this.#send(method, params, { timeout }).then(
      () => true,
      () => false,
    );
    const late = sleep(clock, timeout, answered.signal).then(
      () => false,
      () => false,
    );
    return Promise.race([accepted, late]).finally(() => answered.abort());
  }

  /** Ends the session with the server, within the drain time. Never throws. */
  async close(): Promise<void> {
    this.proxy.refuseQueued();
    await this.#transport?.close();
    await this.proxy.close();
    await this.#flushLog();
  }

  async #connect(mode: VersionNegotiationMode): Promise<Response> {
    this.#deps.signal.throwIfAborted();
    // Loaded here: serving never needs it, and doctor reports its first checks before.
    const {
      CLIENT_CAPABILITIES_META_KEY,
      CLIENT_INFO_META_KEY,
      Client,
      PROTOCOL_VERSION_META_KEY,
      ProtocolError,
    } = await import('./sdk-client.ts');
    const isStateless = mode !== 'legacy';
    const capabilities = isStateless ? { extensions: { [TASKS_EXTENSION]: {} } } : {};
    this.#envelope = isStateless
      ? {
          [PROTOCOL_VERSION_META_KEY]: STATELESS_REVISION,
          [CLIENT_INFO_META_KEY]: CLIENT_INFO,
          [CLIENT_CAPABILITIES_META_KEY]: capabilities,
        }
      : undefined;
    const client = new Client(CLIENT_INFO, { capabilities, versionNegotiation: { mode } });
    client.fallbackRequestHandler = async ({ method, params }) => {
      const message = isObject(params) && typeof params.message === 'string' ? params.message : '';
      const isQuestion = method === 'elicitation/create';
      this.#deps.onDeclined?.(method, isQuestion ? message : '');
      if (isQuestion) return { action: 'decline' };
      throw new ProtocolError(METHOD_NOT_FOUND, `Method not found: this client does not implement ${method}`);
    };
    // The SDK's own handler needs a numeric token, and drops progress that is not valid.
    client.removeNotificationHandler('notifications/progress');
    client.fallbackNotificationHandler = async ({ method, params }) => {
      if (method === 'notifications/progress') this.#deps.onProgress?.(params ?? {});
    };
    const transport = new ProxyTransport(this.proxy, { drainMs: this.#settings.drainTimeout * 1_000 });
    this.#client = client;
    this.#transport = transport;
    return this.#responseAfter('the first request', client.connect(transport, this.#options()));
  }

  async #send(method: string, params: JsonObject, options: RequestOptions): Promise<unknown> {
    // The SDK's client has no tasks in this era, and refuses these methods.
    if (this.#envelope && method.startsWith('tasks/'))
      return this.#transport?.request(method, { ...params, _meta: this.#envelope });
    return this.#client?.request({ method, params }, ANY_RESULT, options);
  }

  /** Waits for the SDK; then returns what the server sent, also where the SDK finds it invalid. */
  async #responseAfter(method: string, work: Promise<unknown>): Promise<Response> {
    const { signal, watch = unwatched } = this.#deps;
    let failure: unknown;
    const awaited = `${this.#settings.endpoint.host} to answer ${method}`;
    await watch(awaited, abortable(work, signal)).catch((error: unknown) => {
      failure = error;
    });
    const response = this.#transport?.lastResponse;
    if (response) return response;
    throw signal.aborted ? signal.reason : failure;
  }

  #options(): RequestOptions {
    return { signal: this.#interrupted.signal, timeout: MAX_TIMER_MS };
  }
}

const unwatched = <T>(_awaited: string, work: Promise<T>): Promise<T> => work;

/**
 * True where an error answer to `initialize` shows a server that knows no revision with sessions.
 */
function isWithoutSessions({ json }: Response): boolean {
  const error = isObject(json.error) ? json.error : {};
  const isOurs = isObject(error.data) && error.data.source === ERROR_SOURCE;
  return !isOurs && NO_HANDSHAKE_CODES.includes(error.code);
}
