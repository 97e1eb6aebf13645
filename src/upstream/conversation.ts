import {
  type Call,
  type Client,
  type Emit,
  type Layer,
  NO_DEADLINE,
  type Reply,
  stack,
} from '../core/call.ts';
import { type Clock, unlessAborted } from '../core/clock.ts';
import { causeText, ProxyError } from '../core/errors.ts';
import type { Events } from '../core/events.ts';
import {
  classify,
  type Id,
  isObject,
  type JsonObject,
  type Message,
  type Notification,
  paramsOf,
  type Request,
  withIdText,
} from '../core/message.ts';
import { mergedEmit } from './merge.ts';
import type { Session } from './session.ts';
import { isLost, Spread, type SpreadOptions } from './spread.ts';

/**
 * Longest time for opening a session anew. Callers have their own deadlines; this one keeps a server that never answers from
 * holding up those that come later.
 */
const REOPEN_LIMIT_MS = 30_000;
const OPEN_TRIES = 3;

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
  /** Undefined: one session carries everything. */
  readonly spread: SpreadOptions | undefined;
}

/** How the client opened its session: what a new one is opened with. */
interface Opening {
  readonly client: Client;
  readonly request: Request;
  readonly emit: Emit;
  readonly result: JsonObject;
  readonly version: string | undefined;
}

/** What every session is told that the client tells one. */
const TOLD_TO_ALL: ReadonlySet<string> = new Set([
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'notifications/roots/list_changed',
]);

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
  #spread: Spread | undefined;
  #reopening: Promise<Session> | undefined;
  #stopReopening: AbortController | undefined;
  #logLevel: Request | undefined;
  readonly #subscriptions = new Map<string, Request>();
  /** Sessions that the server has lost, or that were replaced, for as long as something on them still runs to its end. */
  readonly #former = new Set<Session>();
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
    const lost = [...this.#former].find((session) => session.carries(id));
    return lost ?? this.#spread?.carrierOf(id) ?? this.#session;
  }

  /** The client's own initialize: opens the session, and leaves the former one if there was one. */
  async initialize(call: Call, request: Request): Promise<Reply> {
    const { clock, spread } = this.#deps;
    const emit = spread ? mergedEmit(clock, call.emit) : call.emit;
    const session = this.#deps.newSession(emit);
    const reply = await this.#initialize(session, call, request);
    if (reply.kind !== 'answer' || reply.message.outcome !== 'result') return reply;
    const former = this.#session;
    this.#adopt(session);
    // What is being opened in place of the former one would overwrite this.
    this.#stopReopening?.abort(new Error('the client has opened a session itself'));
    this.#reopening = undefined;
    const { result } = reply.message.json;
    this.#opening = {
      client: call.client,
      request,
      emit,
      result: isObject(result) ? result : {},
      version: session.version,
    };
    this.#logLevel = undefined;
    this.#subscriptions.clear();
    // A client that initializes again has left its former session: nobody else would ever delete it.
    void former.close();
    void this.#spread?.close();
    this.#spread = spread && this.#spreadOver(spread, this.#opening, session);
    return reply;
  }

  #initialize(session: Session, call: Call, request: Request): Promise<Reply> {
    return stack(this.#deps.opening, (attempt) => session.initialize(attempt, request))(call);
  }

  /** Sessions beside the first, opened as the client opened that. */
  #spreadOver(options: SpreadOptions, opening: Opening, first: Session): Spread {
    const { clock } = this.#deps;
    return new Spread(
      {
        ...options,
        clock,
        open: async (signal, met) => (await this.#open(opening, signal, met)).session,
        ask: (session, method, signal) => this.#ask(session, opening, method, signal),
        first: () => this.#session,
        succeeded: (session) => this.#adopt(session),
        lostFirst: () => {
          this.#reopen(this.#session).catch(() => undefined);
        },
        openFailed: (error) => this.#openFailed(error),
      },
      first,
    );
  }

  /** Runs `send` on the session of this moment, and once more on a new one where the server has lost that. */
  async carry(call: Call, sendOn: (session: Session) => Promise<Reply>): Promise<Reply> {
    const spread = this.#spread;
    const { message } = call;
    if (spread && message.kind === 'request' && message.method === 'tools/call') {
      return spread.carry(call, sendOn);
    }
    const send = spread ? (on: Session) => spread.holding(on, () => sendOn(on)) : sendOn;
    let session = this.#session;
    // Also where the last try to open a new one failed: the next call may find a server that has come back.
    if (this.#reopening || session.lost || spread?.vacant)
      session = await unlessAborted(this.#reopen(session), call.signal);
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
    if (reply.kind === 'answer' && reply.message.outcome === 'result') this.#remember(message);
    if (reply.kind !== 'answer' || reply.message.outcome === 'result') this.#tellOthers(message);
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
    const stop = new AbortController();
    const onClose = (): void => stop.abort(this.#closing.signal.reason);
    this.#closing.signal.addEventListener('abort', onClose, { once: true });
    if (this.#closing.signal.aborted) onClose();
    const reopening = this.#openAnew(dead, stop.signal).finally(() => {
      this.#closing.signal.removeEventListener('abort', onClose);
      if (this.#reopening === reopening) this.#reopening = undefined;
    });
    this.#reopening = reopening;
    this.#stopReopening = stop;
    return reopening;
  }

  async #openAnew(dead: Session, until: AbortSignal): Promise<Session> {
    const { events, profile } = this.#deps;
    const opening = this.#opening;
    if (!opening) throw new TypeError('a session that was never opened cannot be lost');
    const replacement = this.#spread?.replacing(dead);
    if (this.#spread && !replacement) {
      // It was given up before, and another stands in for it, or soon will.
      const session = await this.#spread.successor(until);
      this.#adopt(session);
      return session;
    }
    events.emit({ type: 'session.lost', profile });
    // What the old session's streams still bring runs to its end; only what it asked of the client is over.
    dead.forsake();
    for (const session of this.#former) if (session.idle) this.#former.delete(session);
    this.#former.add(dead);
    try {
      const { session, result } = await this.#open(opening, until);
      if (this.#session !== dead) {
        void session.close();
        return this.#session;
      }
      this.#adopt(session);
      this.#opening = { ...opening, result };
      replacement?.with(session);
      this.#announceChanges(opening, result, session);
      return session;
    } catch (error) {
      if (this.#session !== dead) return this.#session;
      const lost = new ProxyError(
        'session-lost',
        `The MCP session is gone, and a new one could not be opened: ${causeText(error)}. This call did not run. Try again, or reconnect the MCP server in your client.`,
        { sent: 'no', cause: error },
      );
      replacement?.failed(error);
      throw lost;
    }
  }

  /**
   * Opens a session as the client opened its own, and tells it what that was told.
   * @param met - told of it before it is told anything.
   */
  async #open(
    opening: Opening,
    until: AbortSignal,
    met?: (session: Session) => void,
  ): Promise<{ session: Session; result: JsonObject }> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#openOnce(opening, until, met);
      } catch (error) {
        // A server that restarts may forget a session while it is being opened; one that always does is not worth more.
        if (!isLost(error) || tries === OPEN_TRIES || until.aborted) throw error;
      }
    }
  }

  async #openOnce(
    opening: Opening,
    until: AbortSignal,
    met?: (session: Session) => void,
  ): Promise<{ session: Session; result: JsonObject }> {
    const { clock, newSession } = this.#deps;
    until.throwIfAborted();
    const controller = new AbortController();
    const onClose = (): void => controller.abort(until.reason);
    until.addEventListener('abort', onClose, { once: true });
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
      met?.(session);
      await session.initialized(INITIALIZED, controller.signal);
      await this.#tellAgain(session, opening, controller.signal);
      return { session, result };
    } catch (error) {
      const closed = session.close();
      // Nobody else knows of it, and the process may be about to end.
      if (met || until.aborted) await closed;
      throw error;
    } finally {
      timer.cancel();
      until.removeEventListener('abort', onClose);
    }
  }

  /** What concerns every session goes to those beside the first, too; nobody waits for that, and the answers are not the client's. */
  #tellOthers(message: Message): void {
    const spread = this.#spread;
    const opening = this.#opening;
    if (!spread || !opening || message.kind === 'response' || !TOLD_TO_ALL.has(message.method)) return;
    for (const session of spread.others) {
      const { signal, done } = this.#limited();
      const told: Promise<unknown> =
        message.kind === 'notification'
          ? session.notify(message.text, signal)
          : this.#told(session, opening, [message], signal);
      void spread
        .holding(session, () => told)
        .catch(() => undefined)
        .then(done);
    }
  }

  #limited(): { signal: AbortSignal; done: () => void } {
    const controller = new AbortController();
    const timer = this.#deps.clock.schedule(
      REOPEN_LIMIT_MS,
      () => controller.abort(new Error('no answer in time')),
      { keepAlive: false },
    );
    return { signal: controller.signal, done: () => timer.cancel() };
  }

  /** Asks for nothing but an answer. */
  async #ask(session: Session, opening: Opening, method: string, signal: AbortSignal): Promise<JsonObject> {
    const json = { jsonrpc: '2.0', id: 0, method };
    const request = classify(JSON.stringify(json), json);
    if (typeof request === 'string' || request.kind !== 'request')
      throw new TypeError(`no request: ${method}`);
    const own = this.#own(request);
    const reply = await session.request([this.#ownCall(opening, own, signal)], own.text)[0];
    return reply?.kind === 'answer' ? reply.message.json : {};
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
    await this.#told(session, opening, requests, signal);
  }

  /** Sends requests of the client's to a session that they did not go to. */
  async #told(
    session: Session,
    opening: Opening,
    requests: readonly Request[],
    signal: AbortSignal,
  ): Promise<void> {
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
    // One that is being opened at this moment closes what it has opened.
    const reopening = this.#reopening?.catch(() => undefined);
    const sessions = [this.#session, ...this.#former];
    await Promise.all([...sessions.map((session) => session.close()), this.#spread?.close(), reopening]);
  }

  /** The client has left: calls that wait for a session are refused; those under way go on. */
  refuseWaiting(): void {
    this.#spread?.refuseWaiting();
  }

  /** Replaces every session with a new one; each that is in use is left when the last call on it has ended. */
  drain(): void {
    if (this.#spread) this.#spread.drain();
    else this.#renew().catch((error: unknown) => this.#openFailed(error));
  }

  async #renew(): Promise<void> {
    const opening = this.#opening;
    const former = this.#session;
    if (!opening || this.#reopening || former.lost) return;
    const { session, result } = await this.#open(opening, this.#closing.signal, () => undefined);
    if (this.#session !== former || this.#closing.signal.aborted) {
      await session.close();
      return;
    }
    this.#adopt(session);
    this.#opening = { ...opening, result };
    this.#announceChanges(opening, result, session);
    this.#former.add(former);
    await former.atRest();
    this.#former.delete(former);
    await former.close();
  }

  #openFailed(error: unknown): void {
    const { events, profile } = this.#deps;
    events.emit({ type: 'session.open-failed', profile, message: causeText(error) });
  }
}

function listChanged(list: string): Notification {
  const method = `notifications/${list}/list_changed`;
  const json = { jsonrpc: '2.0', method };
  return { kind: 'notification', method, json, text: JSON.stringify(json) };
}
