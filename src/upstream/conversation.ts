import {
  type Call,
  type Client,
  type Deadline,
  type Emit,
  type Layer,
  type Reply,
  stack,
} from '../core/call.ts';
import { type Clock, unlessAborted } from '../core/clock.ts';
import { causeText, ProxyError } from '../core/errors.ts';
import type { Events } from '../core/events.ts';
import {
  type Id,
  isObject,
  type JsonObject,
  type Message,
  type Notification,
  paramsOf,
  type Request,
  withIdText,
} from '../core/message.ts';
import type { Session } from './session.ts';

/**
 * Longest time for opening a session anew. Callers have their own deadlines; this one keeps a server that never answers from
 * holding up those that come later.
 */
const REOPEN_LIMIT_MS = 30_000;

const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}';

/** What a server declares with `listChanged`, and what tells the client that it changed. */
const LISTS = ['tools', 'prompts', 'resources'] as const;

export interface ConversationDeps {
  readonly profile: string;
  readonly newSession: (emit: Emit) => Session;
  /** Stand around every initialize, the client's and our own: repeats, and the breaker. */
  readonly opening: readonly Layer[];
  readonly clock: Clock;
  readonly events: Events;
}

/** How the client opened its session: what a new one is opened with. */
interface Opening {
  readonly client: Client;
  readonly request: Request;
  readonly emit: Emit;
  readonly result: JsonObject;
  readonly version: string | undefined;
}

const NO_DEADLINE: Deadline = { hold: () => () => undefined };

/** The session is gone, and what was sent did not run. */
const isLost = (error: unknown): boolean =>
  error instanceof ProxyError && error.reason === 'session-lost' && error.sent === 'refused';

/** A server that forgets what it opened a moment ago will do so again: asking once more is the caller's to decide. */
const lostTwice = (error: unknown): ProxyError =>
  new ProxyError(
    'session-lost',
    'The MCP session was lost, and so was the new one that was opened for this call, which did not run. Try again. Where this keeps happening, the server does not keep its sessions: several instances behind a load balancer must share them, or see each session always.',
    { sent: 'refused', cause: error, ...(error instanceof ProxyError ? { details: error.details } : {}) },
  );

/**
 * What one client has with one profile's server, across the sessions that carry it: a session that the server has lost is opened
 * anew without the client noticing, once for all calls that failed with it, and they are sent once more.
 */
export class Conversation {
  readonly #deps: ConversationDeps;
  readonly #closing = new AbortController();
  /** Before `initialize`, one that has no id. */
  #session: Session;
  #opening: Opening | undefined;
  #reopening: Promise<Session> | undefined;
  #logLevel: Request | undefined;
  readonly #subscriptions = new Map<string, Request>();
  /** Sessions that the server has lost, for as long as something on them still runs to its end. */
  readonly #lost = new Set<Session>();
  #ownIds = 0;

  constructor(deps: ConversationDeps, emit: Emit) {
    this.#deps = deps;
    this.#session = deps.newSession(emit);
  }

  /** The session of this moment. */
  get session(): Session {
    return this.#session;
  }

  /** The session that a request is under way on: the one of this moment, or one that was lost while it answered. */
  sessionOf(id: Id): Session {
    return [...this.#lost].find((session) => session.carries(id)) ?? this.#session;
  }

  /** The client's own initialize: opens the session, and leaves the former one if there was one. */
  async initialize(call: Call, request: Request): Promise<Reply> {
    const session = this.#deps.newSession(call.emit);
    const reply = await this.#initialize(session, call, request);
    if (reply.kind !== 'answer' || reply.message.outcome !== 'result') return reply;
    const former = this.#session;
    this.#adopt(session);
    const { result } = reply.message.json;
    this.#opening = {
      client: call.client,
      request,
      emit: call.emit,
      result: isObject(result) ? result : {},
      version: session.version,
    };
    this.#logLevel = undefined;
    this.#subscriptions.clear();
    // A client that initializes again has left its former session: nobody else would ever delete it.
    void former.close();
    return reply;
  }

  #initialize(session: Session, call: Call, request: Request): Promise<Reply> {
    return stack(this.#deps.opening, (attempt) => session.initialize(attempt, request))(call);
  }

  /** Runs `send` on the session of this moment, and once more on a new one where the server has lost that. */
  async carry(call: Call, send: (session: Session) => Promise<Reply>): Promise<Reply> {
    let session = this.#session;
    // Also where the last try to open a new one failed: the next call may find a server that has come back.
    if (this.#reopening || session.lost) session = await unlessAborted(this.#reopen(session), call.signal);
    let reply: Reply;
    try {
      reply = await send(session);
    } catch (error) {
      if (!isLost(error) || !this.#opening) throw error;
      const fresh = await unlessAborted(this.#reopen(session), call.signal);
      // A new session has been told that it is initialized.
      if (call.message.kind === 'notification' && call.message.method === 'notifications/initialized') {
        return { kind: 'accepted' };
      }
      reply = await send(fresh).catch((again: unknown) => {
        throw isLost(again) ? lostTwice(again) : again;
      });
    }
    if (reply.kind === 'answer' && reply.message.outcome === 'result') this.#remember(call.message);
    return reply;
  }

  #adopt(session: Session): void {
    this.#session = session;
    session.onLost = () => {
      this.#reopen(session).catch(() => undefined);
    };
  }

  /** What a new session has to be told again, because the client believes it said. */
  #remember(message: Message): void {
    if (message.kind !== 'request') return;
    const { uri } = paramsOf(message);
    if (message.method === 'logging/setLevel') this.#logLevel = message;
    else if (message.method === 'resources/subscribe' && typeof uri === 'string') {
      this.#subscriptions.set(uri, message);
    } else if (message.method === 'resources/unsubscribe' && typeof uri === 'string') {
      this.#subscriptions.delete(uri);
    }
  }

  /** One attempt for all who ask while it runs. */
  #reopen(dead: Session): Promise<Session> {
    if (this.#reopening) return this.#reopening;
    if (this.#session !== dead) return Promise.resolve(this.#session);
    const reopening = this.#openAnew(dead).finally(() => {
      if (this.#reopening === reopening) this.#reopening = undefined;
    });
    this.#reopening = reopening;
    return reopening;
  }

  async #openAnew(dead: Session): Promise<Session> {
    const { clock, events, profile, newSession } = this.#deps;
    const opening = this.#opening;
    if (!opening) throw new TypeError('a session that was never opened cannot be lost');
    events.emit({ type: 'session.lost', profile });
    // What the old session's streams still bring runs to its end; only what it asked of the client is over.
    dead.forsake();
    for (const session of this.#lost) if (session.idle) this.#lost.delete(session);
    this.#lost.add(dead);
    const controller = new AbortController();
    const onClose = (): void => controller.abort(this.#closing.signal.reason);
    this.#closing.signal.addEventListener('abort', onClose, { once: true });
    const timer = clock.schedule(REOPEN_LIMIT_MS, () =>
      controller.abort(new Error(`no answer to initialize within ${REOPEN_LIMIT_MS / 1000} s`)),
    );
    const session = newSession(opening.emit);
    try {
      const result = await this.#initializeAgain(session, opening, controller.signal);
      if (session.version !== opening.version) {
        throw new Error(
          `the server now speaks revision ${session.version ?? 'none'}, not ${opening.version ?? 'none'}`,
        );
      }
      await session.initialized(INITIALIZED, controller.signal);
      await this.#tellAgain(session, opening, controller.signal);
      this.#adopt(session);
      this.#opening = { ...opening, result };
      this.#announceChanges(opening, result, session);
      return session;
    } catch (error) {
      void session.close();
      throw new ProxyError(
        'session-lost',
        `The MCP session is gone, and a new one could not be opened: ${causeText(error)}. This call did not run. Try again, or reconnect the MCP server in your client.`,
        { sent: 'no', cause: error },
      );
    } finally {
      timer.cancel();
      this.#closing.signal.removeEventListener('abort', onClose);
    }
  }

  #ownCall(opening: Opening, message: Request, signal: AbortSignal): Call {
    return {
      message,
      client: opening.client,
      profile: this.#deps.profile,
      signal,
      emit: opening.emit,
      deadline: NO_DEADLINE,
    };
  }

  /** The same request under an id of the proxy's own, so that its answer can never be taken for one of the client's. */
  #own(request: Request): Request {
    return withIdText(request, JSON.stringify(`mcp-sigv4-proxy:${++this.#ownIds}`));
  }

  async #initializeAgain(session: Session, opening: Opening, signal: AbortSignal): Promise<JsonObject> {
    const request = this.#own(opening.request);
    const reply = await this.#initialize(session, this.#ownCall(opening, request, signal), request);
    const json = reply.kind === 'answer' ? reply.message.json : {};
    if (isObject(json.result)) return json.result;
    const said = isObject(json.error) ? json.error.message : undefined;
    throw new Error(`the server refused initialize${typeof said === 'string' ? `: ${said}` : ''}`);
  }

  async #tellAgain(session: Session, opening: Opening, signal: AbortSignal): Promise<void> {
    const requests = [...(this.#logLevel ? [this.#logLevel] : []), ...this.#subscriptions.values()];
    const replies = requests.flatMap((request) => {
      const own = this.#own(request);
      return session.request([this.#ownCall(opening, own, signal)], own.text);
    });
    // A server that refuses one of them loses the client that and nothing else.
    await Promise.allSettled(replies);
  }

  /** The client keeps its lists until it is told otherwise. */
  #announceChanges(before: Opening, after: JsonObject, session: Session): void {
    const declared = (result: JsonObject): string =>
      JSON.stringify([result.capabilities, result.serverInfo, result.instructions]);
    if (declared(before.result) === declared(after)) return;
    const { capabilities } = after;
    for (const list of LISTS) {
      const capability = isObject(capabilities) ? capabilities[list] : undefined;
      if (!isObject(capability) || capability.listChanged !== true) continue;
      void before.emit(listChanged(list), session).catch(() => undefined);
    }
  }

  /** Deletes the session; one that is being opened is given up. Never throws. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the proxy is ending'));
    await this.#session.close();
  }
}

function listChanged(list: string): Notification {
  const method = `notifications/${list}/list_changed`;
  const json = { jsonrpc: '2.0', method };
  return { kind: 'notification', method, json, text: JSON.stringify(json) };
}
