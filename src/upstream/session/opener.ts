import { ProxyError } from '../../core/errors/errors.ts';
import {
  classify,
  INITIALIZED,
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
import type { SessionOpenReason } from '../../core/pipeline/events.ts';
import { resultOf } from '../../core/pipeline/result.ts';
import type { Span, SpanParent } from '../../core/pipeline/span.ts';
import { endWith } from '../../core/pipeline/span-outcome.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Timer } from '../../core/time/clock.ts';
import { withTimeout } from '../../core/time/waits.ts';
import { isSessionLost } from '../transport/lost-session.ts';
import type { ClientState } from './client-state.ts';
import { Session, type SessionDeps } from './session.ts';

/** The time limit for opening a session, and for a call's wait for it. */
export interface OpenLimit {
  readonly ms: number;
  /** The option that sets it, if any. */
  readonly option: string | undefined;
}

/** Default limit: a server that never answers must not block later callers. */
export const OPEN_LIMIT: OpenLimit = { ms: 30_000, option: undefined };

const withinText = ({ ms, option }: OpenLimit): string =>
  `within ${ms / 1_000} s${option === undefined ? '' : ` (${option})`}`;

/** A ProxyError, so that the breaker counts a silent server as down. */
export const initializeTimeout = (limit: OpenLimit): ProxyError =>
  new ProxyError('timeout', `no answer to initialize ${withinText(limit)}`, {
    sent: 'maybe',
    ifUnsent: `initialize could not be sent ${withinText(limit)}`,
  });

/** For a call whose wait is over, whether or not it started the attempt. */
export function openTimeout(limit: OpenLimit): ProxyError {
  const text = `no answer to initialize ${withinText(limit)}`;
  return new ProxyError('timeout', text, { sent: 'maybe', ifUnsent: text });
}

const MAX_OPEN_ATTEMPTS = 3;
/**
 * How long an unwanted `initialize` may still be answered: cut off, its session would stay open at
 * the server under an unknown id. Clients kill a process after 2 s.
 */
export const LATE_ANSWER_MS = 500;

/** How the client opened its session; new ones are opened the same way. */
export interface SessionOpening {
  readonly client: Client;
  readonly request: Request;
  readonly emit: Emit;
  readonly version: string | undefined;
  /** The span of this opening, where a traced call waits for it. */
  readonly span?: Span | undefined;
}

export interface OpenerDeps {
  readonly session: SessionDeps;
  /** The layers around every `initialize`, the client's and the proxy's: retry and breaker. */
  readonly layers: readonly Layer[];
  readonly limit?: OpenLimit | undefined;
  /** It is replayed on each new session. */
  readonly clientState: ClientState;
}

/** Opens sessions as the client opened its own, and sends them requests of the proxy. */
export class Opener {
  readonly #deps: OpenerDeps;
  #lastId = 0;

  constructor(deps: OpenerDeps) {
    this.#deps = deps;
  }

  /** Sends an `initialize`, the client's or the proxy's, through the opening layers. */
  initialize(session: Session, call: Call, request: Request, { priority = false } = {}): Promise<Reply> {
    const bottom = (attempt: Call): Promise<Reply> =>
      session.initialize(attempt, attempt.message.kind === 'request' ? attempt.message : request, {
        priority,
      });
    return compose(this.#deps.layers, bottom)(call);
  }

  /**
   * Opens a session, and replays the client's state.
   * @param onCreated - receives the session before the replay.
   * @param parent - the span of the call that waits for it, or what begins a trace of its own.
   */
  async open(
    opening: SessionOpening,
    until: AbortSignal,
    onCreated: (session: Session) => void,
    reason: SessionOpenReason,
    parent?: SpanParent,
  ): Promise<Session> {
    const { profile } = this.#deps.session.transport;
    for (let tries = 1; ; tries++) {
      const span = parent?.begin({ type: 'session', profile, reason });
      try {
        return await endWith(span, this.#openOnce({ ...opening, span }, until, onCreated, reason));
      } catch (error) {
        // A restarting server may lose a session while it is being opened.
        if (!isSessionLost(error) || tries === MAX_OPEN_ATTEMPTS || until.aborted) throw error;
      }
    }
  }

  async #openOnce(
    opening: SessionOpening,
    until: AbortSignal,
    onCreated: (session: Session) => void,
    reason: SessionOpenReason,
  ): Promise<Session> {
    const { session: deps, clientState, limit = OPEN_LIMIT } = this.#deps;
    const { clock } = deps;
    until.throwIfAborted();
    // Every replayed request adds a listener; Node's own signals warn from the eleventh on.
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
    const session = new Session(deps, opening.emit);
    session.openReason = reason;
    try {
      await this.#initializeSession(session, opening, controller.signal);
      answered = true;
      until.throwIfAborted();
      if (session.version !== opening.version) {
        throw new Error(
          `the server now speaks revision ${session.version ?? 'none'}, not ${opening.version ?? 'none'} (restart the MCP server in your client)`,
        );
      }
      onCreated(session);
      await session.initialized(INITIALIZED.text, controller.signal);
      await this.#replay(session, opening, clientState.requests, controller.signal);
      return session;
    } catch (error) {
      // No one else closes it, and the process may be ending.
      await session.close();
      throw error;
    } finally {
      timer.cancel();
      late?.cancel();
      until.removeEventListener('abort', onClose);
    }
  }

  async #initializeSession(session: Session, opening: SessionOpening, signal: AbortSignal): Promise<void> {
    const call = this.#createCall(opening, opening.request, signal);
    const reply = await this.initialize(session, call, call.message, { priority: true });
    resultOf(reply, 'initialize');
  }

  /** Sends a request of the proxy and returns the whole answer. */
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
    const call = this.#createCall(opening, template, signal);
    const reply = await session.request(call, { priority: true });
    return reply.kind === 'answer' ? reply.message.json : {};
  }

  /** Repeats a client's message on another session. Never throws. */
  async repeat(session: Session, opening: SessionOpening, message: Request | Notification): Promise<void> {
    await withTimeout(this.#deps.session.clock, OPEN_LIMIT.ms, async (signal) => {
      if (message.kind === 'notification') await session.notify(message.text, signal);
      else await this.#replay(session, opening, [message], signal);
    }).catch(() => {
      // A failure is ignored: the client's own session has accepted the message.
    });
  }

  async #replay(
    session: Session,
    opening: SessionOpening,
    requests: readonly Request[],
    signal: AbortSignal,
  ): Promise<void> {
    const replies = requests.map((request) =>
      session.request(this.#createCall(opening, request, signal), { priority: true }),
    );
    // A refused replay affects nothing else.
    await Promise.allSettled(replies);
  }

  /** A call under an id of the proxy, so that its answer is never taken for one of the client's. */
  #createCall(opening: SessionOpening, request: Request, signal: AbortSignal) {
    return {
      message: withIdText(request, JSON.stringify(`mcp-sigv4-proxy:${++this.#lastId}`)),
      client: opening.client,
      profile: this.#deps.session.transport.profile,
      signal,
      emit: opening.emit,
      deadline: NO_DEADLINE,
      ...(opening.span ? { span: opening.span } : {}),
    };
  }
}
