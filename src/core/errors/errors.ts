import { ERROR_CODES, type ErrorReason, errorRow, type Fault } from './error-table.ts';
import { worded } from './wording.ts';

export { ERROR_CODES, type ErrorReason } from './error-table.ts';

/** Marks an error of the proxy, so that it is not taken for one of the server. */
export const ERROR_SOURCE = 'mcp-sigv4-proxy';

/**
 * How far the request got. `no`: no byte left the process. `refused`: the server rejected it before
 * running it. `maybe`: it may have run. Retries depend on it.
 */
export type Sent = 'no' | 'refused' | 'maybe';

/** The facts of an error besides its reason and message. */
export interface ErrorFacts {
  /** How far the request got; `maybe` forbids to repeat a tool call. */
  readonly sent: Sent;
  /**
   * The fault without its consequence for the request: for use as the cause of another error.
   */
  readonly fact?: string;
  /**
   * The message to use where no byte of the request was sent: the code that aborts a request cannot
   * know.
   * @param because - what the request waited for, as a clause, if known.
   */
  readonly ifUnsent?: string | ((because?: string) => string);
  /** Milliseconds after which another try can help, where the server or a limit said so. */
  readonly retryAfterMs?: number | undefined;
  /** More for `error.data`; never a secret. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** The error below, for the log; the client never receives it. */
  readonly cause?: unknown;
}

/** The only error class that layers throw on purpose. Match `reason`, not the text. */
export class ProxyError extends Error {
  override readonly name = 'ProxyError';
  /** Identifies the error; docs/errors.md explains each one. */
  readonly reason: ErrorReason;
  /** How far the request got. */
  readonly sent: Sent;
  /** Milliseconds after which another try can help; undefined if unknown. */
  readonly retryAfterMs: number | undefined;
  /** Further members of `error.data`; never a secret. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly #facts: ErrorFacts;

  /** @param message - what happened and what to do, for the client. */
  constructor(reason: ErrorReason, message: string, facts: ErrorFacts) {
    super(worded(message), facts.cause === undefined ? undefined : { cause: facts.cause });
    this.reason = reason;
    this.sent = facts.sent;
    this.retryAfterMs = facts.retryAfterMs;
    this.details = facts.details ?? {};
    this.#facts = facts;
  }

  /** The same error for a request of which no byte has left. */
  get unsent(): ProxyError {
    return this.unsentBecause(undefined);
  }

  /** The same error for a request of which no byte has left, because of what it waited for. */
  unsentBecause(because: string | undefined): ProxyError {
    const { ifUnsent } = this.#facts;
    if (ifUnsent === undefined) return this;
    const message = typeof ifUnsent === 'string' ? ifUnsent : ifUnsent(because);
    return new ProxyError(this.reason, message, { ...this.#facts, sent: 'no' });
  }

  /** The same error with one more sentence. */
  with(sentence: string): ProxyError {
    return new ProxyError(this.reason, `${this.message} ${sentence}`, this.#facts);
  }

  /** The fault without its consequence for the request. */
  get fact(): string {
    const { fact } = this.#facts;
    return fact === undefined ? this.message : worded(fact);
  }

  /** The JSON-RPC error code of the reason. */
  get code(): number {
    return ERROR_CODES[this.reason];
  }

  /** Where the cause is. */
  get fault(): Fault {
    return errorRow(this.reason).fault;
  }

  /** True where the text says what to do, also to a caller that waited for something else. */
  get actionable(): boolean {
    return errorRow(this.reason).actionable === true;
  }

  /** The JSON-RPC error object that the client reads. */
  toJsonRpc(): { code: number; message: string; data: Record<string, unknown> } {
    return {
      code: this.code,
      message: this.message,
      data: {
        source: ERROR_SOURCE,
        reason: this.reason,
        mayHaveRun: this.sent === 'maybe',
        ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
        ...this.details,
      },
    };
  }
}

/** True for the expiry of a time limit that an option sets. */
export const isDeadlineError = (reason: unknown): reason is ProxyError =>
  reason instanceof ProxyError && reason.reason === 'timeout' && reason.details.limit !== undefined;

/** The details and retry time of an error, for the error that it causes. */
export const factsOf = (error: unknown): Pick<ErrorFacts, 'details' | 'retryAfterMs'> =>
  error instanceof ProxyError ? { details: error.details, retryAfterMs: error.retryAfterMs } : {};

/**
 * The abort reason for a request of which nothing was sent.
 * @param because - what it waited for, as a clause.
 */
export const unsentReason = (reason: unknown, because?: string): unknown =>
  reason instanceof ProxyError ? reason.unsentBecause(because) : reason;

/** True where a timeout is the error or one of its causes. */
export function isTimeout(error: unknown): boolean {
  const seen = new Set<unknown>();
  for (let current = error; current instanceof Error && !seen.has(current); current = current.cause) {
    seen.add(current);
    if (current instanceof ProxyError && current.reason === 'timeout') return true;
  }
  return false;
}

/**
 * True where a person has to act: log in, or grant a permission. The next attempt may succeed at
 * once, so such a failure is never cached.
 */
export function isFixedByUser(error: unknown): boolean {
  const seen = new Set<unknown>();
  for (let current = error; current instanceof Error && !seen.has(current); current = current.cause) {
    seen.add(current);
    if (current instanceof ProxyError && current.fault === 'credentials') return true;
  }
  return false;
}

/** The error for a request that arrives, or still waits, when the proxy is ending. */
export const shuttingDown = (): ProxyError =>
  new ProxyError('shutting-down', 'The proxy is ending: this request was not sent.', { sent: 'no' });

/** Returns the error, or a new error with any other thrown value as its message. Pure. */
export const toError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** The messages of an error and its causes, outermost first: the actual cause is often deeper. */
export function causeText(error: unknown): string {
  const seen = new Set<unknown>();
  const parts: string[] = [];
  for (let current: unknown = error; current !== undefined && current !== null && !seen.has(current); ) {
    seen.add(current);
    if (current instanceof AggregateError && current.errors.length > 0) {
      current = current.errors[0];
      continue;
    }
    if (!(current instanceof Error)) {
      parts.push(String(current));
      break;
    }
    const { cause } = current;
    const said = current instanceof ProxyError ? current.fact : current.message;
    // Node's own errors may have nothing but a code.
    const message = said || ('code' in current ? String(current.code) : '');
    if (message && !parts.some((part) => part.includes(message))) parts.push(message);
    current = cause;
  }
  return parts.join(': ') || 'unknown cause';
}

/** Without the dots and blanks at its end: a sentence goes on behind it. */
export function withoutLastDots(text: string): string {
  let end = text.length;
  while (end > 0 && /[.\s]/.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}
