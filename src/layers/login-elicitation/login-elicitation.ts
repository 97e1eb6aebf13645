import { ProxyError } from '../../core/errors/errors.ts';
import { type Request, statedVersion } from '../../core/jsonrpc/message.ts';
import { type Call, type Handler, type Layer, type Reply, withMessage } from '../../core/pipeline/call.ts';
import { resultReply } from '../../core/pipeline/result.ts';
import type { Clock } from '../../core/time/clock.ts';
import { abortable, settleWithin } from '../../core/time/waits.ts';
import { inputRequired, readLoginAnswer } from './login-round.ts';
import { isOnThisMachine, statesUrls, UrlClients } from './url-clients.ts';

/** A login in the browser that this process waits for. */
export interface LoginOffer {
  /** Names the login in messages to the client. */
  readonly id: string;
  /** The page where the user logs in. */
  readonly url: string;
}

export interface LoginElicitationDeps {
  /** Returns the login of a profile that is waited for, or begins one. */
  readonly begin: (profile: string, signal: AbortSignal) => Promise<LoginOffer>;
  /** Settles when the open login of a profile is over; undefined without one. */
  readonly pending: (profile: string) => Promise<unknown> | undefined;
  readonly clock: Clock;
}

/**
 * Time in which a user who has agreed to open the page completes the login before the client is
 * asked again. Clients wait 60 s for an answer by default.
 */
const MAX_LOGIN_WAIT_MS = 45_000;

const TEXT = 'Log in to the MCP server in your browser, then repeat the request.';

/** The requests for which clients expect a question. */
const ELICITING: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);

/**
 * Where a call needs a login: begins one, and passes its page to a client that can open URLs. In
 * the session era that is the error of URL mode elicitation (2025-11-25), in 2026-07-28 a result
 * that asks for input. Other clients get the error with the command to run.
 */
export class LoginElicitation {
  readonly #deps: LoginElicitationDeps;
  readonly #clients = new UrlClients();

  constructor(deps: LoginElicitationDeps) {
    this.#deps = deps;
  }

  /** Outside everything that may answer `initialize`: notes what its client declares. */
  readonly observe: Layer = (next) => (call) => {
    const { message } = call;
    if (message.kind !== 'request' || message.method !== 'initialize') return next(call);
    if (!call.httpContext) {
      this.#clients.note(call, undefined);
      return next(call);
    }
    return next(call).then((reply) => {
      this.#clients.note(call, reply);
      return reply;
    });
  };

  /** Inside the choice of the profile, whose login is offered. */
  readonly offer: Layer = (next) => (call) => {
    const { message } = call;
    if (message.kind !== 'request' || !ELICITING.has(message.method) || !isOnThisMachine(call)) {
      return next(call);
    }
    if (statedVersion(message) !== undefined) return this.#inRounds(next, call, message);
    if (!this.#clients.has(call)) return next(call);
    return next(call).catch((error: unknown) => this.#throwElicitation(call, error));
  };

  async #inRounds(next: Handler, call: Call, message: Request): Promise<Reply> {
    const answer = readLoginAnswer(message);
    if (!answer && !statesUrls(message)) return next(call);
    const { profile, signal } = call;
    const pending = answer?.isAccepted ? this.#deps.pending(profile) : undefined;
    if (pending) {
      await settleWithin(this.#deps.clock, MAX_LOGIN_WAIT_MS, abortable(pending, signal));
      signal.throwIfAborted();
    }
    const request = answer?.request ?? message;
    try {
      return await next(answer ? withMessage(call, request) : call);
    } catch (error) {
      const isDeclined = answer !== undefined && !answer.isAccepted;
      const login = isDeclined ? undefined : await this.#begin(call, error);
      if (!login) throw error;
      return resultReply(request, inputRequired(request, login.url, TEXT));
    }
  }

  async #throwElicitation(call: Call, error: unknown): Promise<never> {
    const login = await this.#begin(call, error);
    if (!login || !(error instanceof ProxyError)) throw error;
    const { id: elicitationId, url } = login;
    throw new ProxyError('url-elicitation', error.message, {
      sent: error.sent,
      details: { ...error.details, elicitations: [{ mode: 'url', elicitationId, url, message: TEXT }] },
      cause: error,
    });
  }

  /** Undefined where no login is needed, or none can begin: the command then shows why. */
  async #begin({ profile, signal }: Call, error: unknown): Promise<LoginOffer | undefined> {
    if (!(error instanceof ProxyError) || error.reason !== 'login-required') return undefined;
    return this.#deps.begin(profile, signal).catch(() => undefined);
  }
}
