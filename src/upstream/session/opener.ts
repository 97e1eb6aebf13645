import { ProxyError } from '../../core/errors/errors.ts';
import {
  classify,
  type JsonObject,
  type Notification,
  type Request,
  withIdText,
} from '../../core/jsonrpc/message.ts';
import {
  type Call,
  type Client,
  compose,
  type Emit,
  type Layer,
  NO_DEADLINE,
  type Reply,
} from '../../core/pipeline/call.ts';
import { resultOf } from '../../core/pipeline/result.ts';
import { CallController } from '../../core/time/call-signal.ts';
import { type Clock, type Timer, withTimeout } from '../../core/time/clock.ts';
import { isSessionLost } from '../transport/lost-session.ts';
import type { IsDuplicate } from './dedupe-notifications.ts';
import type { Session } from './session.ts';

/** Longest time for opening a session anew, and for the wait of a call for that. */
export interface OpenLimit {
  readonly ms: number;
  /** The option that says so; undefined where it is the proxy's own. */
  readonly option: string | undefined;
}

/**
 * Where no option limits it: callers have their own deadlines, but a server that never answers must
 * not hold up those that come later.
 */
export const OPEN_LIMIT: OpenLimit = { ms: 30_000, option: undefined };

const withinText = ({ ms, option }: OpenLimit): string =>
  `within ${ms / 1_000} s${option === undefined ? '' : ` (${option})`}`;

/** An error of the table: to the breaker a server that is silent is down. */
export const initializeTimeout = (limit: OpenLimit): ProxyError =>
  new ProxyError('timeout', `no answer to initialize ${withinText(limit)}`, {
    sent: 'maybe',
    ifUnsent: `initialize could not be sent ${withinText(limit)}`,
  });

/**
 * For a call that waited so long for the session, whether or not its own attempt was the one that
 * hung.
 */
export function openTimeout(limit: OpenLimit): ProxyError {
  const text = `no answer to initialize ${withinText(limit)}`;
  return new ProxyError('timeout', text, { sent: 'maybe', ifUnsent: text });
}

const MAX_OPEN_ATTEMPTS = 3;
/**
 * How long the answer to an initialize is awaited once nobody wants the session any more: cut off,
 * it would stay at a server that opens it a moment later, and nobody would know its id. Clients
 * kill a process that takes 2 s to end.
 */
export const LATE_ANSWER_MS = 500;

const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}';

/** How the client opened its session: what a new one is opened with. */
export interface SessionOpening {
  readonly client: Client;
  readonly request: Request;
  readonly emit: Emit;
  readonly isDuplicate: IsDuplicate | undefined;
  readonly version: string | undefined;
}

export interface OpenerDeps {
  readonly profile: string;
  readonly createSession: (emit: Emit, isDuplicate: IsDuplicate | undefined) => Session;
  /** Stand around every initialize, the client's and our own: repeats, and the breaker. */
  readonly layers: readonly Layer[];
  readonly clock: Clock;
  readonly limit?: OpenLimit | undefined;
  /** What a new session has to be told again. */
  readonly requestsToReplay: () => readonly Request[];
}

/**
 * Opens sessions as the client opened its own, and says to them, under ids of the proxy's own, what
 * nobody waits for but the proxy.
 */
export class Opener {
  readonly #deps: OpenerDeps;
  #lastId = 0;

  constructor(deps: OpenerDeps) {
    this.#deps = deps;
  }

  /**
   * Sends an initialize, the client's or one of the proxy's own, through the layers that stand
   * around every one.
   */
  initialize(session: Session, call: Call, request: Request, { priority = false } = {}): Promise<Reply> {
    const bottom = (attempt: Call): Promise<Reply> =>
      session.initialize(attempt, attempt.message.kind === 'request' ? attempt.message : request, {
        priority,
      });
    return compose(this.#deps.layers, bottom)({ ...call, message: request });
  }

  /**
   * Opens a session as the client opened its own, and tells it what that was told.
   * @param onCreated - told of it before it is told anything.
   */
  async open(
    opening: SessionOpening,
    until: AbortSignal,
    onCreated?: (session: Session) => void,
  ): Promise<Session> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#openOnce(opening, until, onCreated);
      } catch (error) {
        // A server that restarts may forget a session while it is being opened; one that always
        // does is not worth more.
        if (!isSessionLost(error) || tries === MAX_OPEN_ATTEMPTS || until.aborted) throw error;
      }
    }
  }

  async #openOnce(
    opening: SessionOpening,
    until: AbortSignal,
    onCreated?: (session: Session) => void,
  ): Promise<Session> {
    const { clock, createSession, requestsToReplay, limit = OPEN_LIMIT } = this.#deps;
    until.throwIfAborted();
    // What a new session is told listens to it, request by request: the platform's own warns of
    // more than ten listeners.
    const controller = new CallController();
    let answered = false;
    let late: Timer | undefined;
    const onClose = (): void => {
      const end = (): void => controller.abort(until.reason);
      if (answered) end();
      else late = clock.schedule(LATE_ANSWER_MS, end);
    };
    until.addEventListener('abort', onClose, { once: true });
    const timer = clock.schedule(limit.ms, () => controller.abort(initializeTimeout(limit)));
    const session = createSession(opening.emit, opening.isDuplicate);
    try {
      await this.#initializeSession(session, opening, controller.signal);
      answered = true;
      until.throwIfAborted();
      if (session.version !== opening.version) {
        throw new Error(
          `the server now speaks revision ${session.version ?? 'none'}, not ${opening.version ?? 'none'} (restart the MCP server in your client)`,
        );
      }
      onCreated?.(session);
      await session.initialized(INITIALIZED, controller.signal);
      await this.#replay(session, opening, requestsToReplay(), controller.signal);
      return session;
    } catch (error) {
      const closed = session.close();
      // Nobody else knows of it, and the process may be about to end.
      if (onCreated || until.aborted) await closed;
      throw error;
    } finally {
      timer.cancel();
      late?.cancel();
      until.removeEventListener('abort', onClose);
    }
  }

  async #initializeSession(session: Session, opening: SessionOpening, signal: AbortSignal): Promise<void> {
    const request = this.#withProxyId(opening.request);
    const call = this.#createCall(opening, request, signal);
    const reply = await this.initialize(session, call, request, { priority: true });
    resultOf(reply, 'initialize');
  }

  /** Asks a session for nothing but an answer. */
  async request(
    session: Session,
    opening: SessionOpening,
    method: string,
    signal: AbortSignal,
  ): Promise<JsonObject> {
    const json = { jsonrpc: '2.0', id: 0, method };
    const template = classify(JSON.stringify(json), json);
    if (typeof template === 'string' || template.kind !== 'request')
      throw new TypeError(`no request: ${method}`);
    const request = this.#withProxyId(template);
    const reply = await session.request([this.#createCall(opening, request, signal)], request.text, {
      priority: true,
    })[0];
    return reply?.kind === 'answer' ? reply.message.json : {};
  }

  /**
   * Says to a session what the client said to another, within the time that opening one may take.
   * Never throws.
   */
  async repeat(session: Session, opening: SessionOpening, message: Request | Notification): Promise<void> {
    await withTimeout(this.#deps.clock, OPEN_LIMIT.ms, async (signal) => {
      if (message.kind === 'notification') await session.notify(message.text, signal);
      else await this.#replay(session, opening, [message], signal);
    }).catch(() => {
      // It is said in addition: what the client said itself has been accepted.
    });
  }

  /** Sends requests of the client's to a session that they did not go to. */
  async #replay(
    session: Session,
    opening: SessionOpening,
    requests: readonly Request[],
    signal: AbortSignal,
  ): Promise<void> {
    const replies = requests.flatMap((original) => {
      const request = this.#withProxyId(original);
      return session.request([this.#createCall(opening, request, signal)], request.text, { priority: true });
    });
    // A server that refuses one of them loses the client that and nothing else.
    await Promise.allSettled(replies);
  }

  #createCall(opening: SessionOpening, message: Request, signal: AbortSignal): Call {
    return {
      message,
      client: opening.client,
      profile: this.#deps.profile,
      signal,
      emit: opening.emit,
      deadline: NO_DEADLINE,
    };
  }

  /**
   * The same request under an id of the proxy's own, so that its answer can never be taken for one
   * of the client's.
   */
  #withProxyId(request: Request): Request {
    return withIdText(request, JSON.stringify(`mcp-sigv4-proxy:${++this.#lastId}`));
  }
}
