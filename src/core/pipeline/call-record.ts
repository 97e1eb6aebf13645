import { outlineJsonOf } from '../jsonrpc/long-answer.ts';
import { isObject, type Message, paramsOf, type Request, type Response } from '../jsonrpc/message.ts';
import { bytesOf } from '../jsonrpc/parse.ts';
import type { Clock } from '../time/clock.ts';
import type { Span } from './span.ts';

/** The connection that a call came from: one stdio client, or one of many HTTP clients. */
export interface Client {
  /** Names it within the process. */
  readonly id: string;
  /** The network address of an HTTP client; absent on stdio. */
  readonly address?: string | undefined;
  /** The name of the token that an HTTP client presented. */
  readonly token?: string | undefined;
  /** True where `id` identifies a session that the client named, not one request. */
  readonly inSession?: boolean;
  /** Headers of all its requests, names in lower case: for clients in this process. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** A session of an earlier run that the client continues; read before its first message. */
  readonly session?: KnownSession | undefined;
  /** Called where the server does not delete its session, with what it did. */
  readonly onNotDeleted?: ((how: string) => void) | undefined;
}

/** A session that the server has opened for someone else, or in an earlier run. */
export interface KnownSession {
  /** The id that the server gave it. */
  readonly id: string;
  /** The protocol version that it was opened with; undefined: unknown. */
  readonly version: string | undefined;
}

/** The longest text of a server's error that is kept. */
const MAX_MESSAGE_CHARACTERS = 1_000;

/** `tool_error`: a result that says `isError`. `error`: an error of the server or the proxy. */
export type CallOutcome = 'ok' | 'tool_error' | 'error' | 'cancelled';

/** The waits of a call that are measured apart, in milliseconds. */
export type CallWait = 'queueMs' | 'rateMs' | 'sessionMs' | 'connectionMs' | 'credentialsMs' | 'backoffMs';

/**
 * The measurements of one request of a client, to which the units on its way add. Created only if
 * an observer wants calls. Times are in milliseconds.
 */
export class CallRecord {
  /** Identifies the call in events of this process. */
  readonly number: number;
  readonly transport: 'stdio' | 'http';
  readonly method: string;
  /** As text. */
  readonly id: string;
  /** The name of the tool or prompt, as the client wrote it: of any length and content. */
  readonly target: string | undefined;
  readonly client: Client;
  /** The client's own User-Agent; absent on stdio. */
  readonly userAgent: string | undefined;
  /** Wall clock. */
  readonly startedAt: number;
  readonly requestBytes: number;
  /** The profile that signs it; the default one until a layer has chosen. */
  profile: string;
  /** Requests to the server, retries included; 0 where nothing was to be sent. */
  attempts = 0;
  /** In the queue of --max-concurrent. */
  queueMs = 0;
  /** For its turn under a rate limit. */
  rateMs = 0;
  /** For a session. */
  sessionMs = 0;
  /** For a connection. */
  connectionMs = 0;
  credentialsMs = 0;
  /** Between attempts. */
  backoffMs = 0;
  /** Monotonic. */
  firstAttemptAt: number | undefined;
  endedAt = 0;
  /** From the first attempt to the end. */
  upstreamMs = 0;
  /** The part of `upstreamMs` in which the server worked and the network carried. */
  serverMs = 0;
  /** The whole call, as its client sees it. */
  ms = 0;
  responseBytes = 0;
  outcome: CallOutcome = 'ok';
  /** The JSON-RPC error code. */
  code: number | undefined;
  /** The reason of an error of the proxy; `answered` for an error of the server. */
  reason: string | undefined;
  /** The message of the error. */
  message: string | undefined;
  /** The span that the work at hand is a part of; undefined without tracing. */
  span: Span | undefined;
  /** The span of the whole request, which ends with it; undefined without tracing. */
  readonly requestSpan: Span | undefined;
  readonly #since: number;
  /** The waits before the first attempt. */
  #queuedMs = 0;
  /** Monotonic; undefined while no connection is awaited. */
  #awaitsConnectionSince: number | undefined;

  constructor(
    number: number,
    { transport, request, client, userAgent, profile, clock }: CallRecordOptions,
    span?: Span,
  ) {
    this.number = number;
    this.span = span;
    this.requestSpan = span;
    this.transport = transport;
    this.method = request.method;
    this.id = String(request.id);
    this.target = targetOf(request);
    this.client = client;
    this.userAgent = userAgent;
    this.profile = profile;
    this.requestBytes = Buffer.byteLength(request.text);
    this.startedAt = clock.now();
    this.#since = clock.monotonic();
  }

  /** All waits so far. */
  get waitedMs(): number {
    return (
      this.queueMs + this.rateMs + this.sessionMs + this.connectionMs + this.credentialsMs + this.backoffMs
    );
  }

  /** Counts a request to the server, before its own waits. */
  beginAttempt(clock: Clock): void {
    if (this.attempts++ > 0) return;
    this.firstAttemptAt = clock.monotonic();
    this.#queuedMs = this.waitedMs;
  }

  /** Begins the wait for a connection; it ends with `endConnectionWait` or with the record. */
  beginConnectionWait(clock: Clock): void {
    this.#awaitsConnectionSince = clock.monotonic();
  }

  /** Adds the wait for a connection, if there was one. */
  endConnectionWait(clock: Clock): void {
    if (this.#awaitsConnectionSince !== undefined) this.#addConnectionWait(clock.monotonic());
  }

  #addConnectionWait(now: number): void {
    this.connectionMs += now - (this.#awaitsConnectionSince ?? now);
    this.#awaitsConnectionSince = undefined;
  }

  /** Completes the record. */
  end(clock: Clock): void {
    const now = clock.monotonic();
    if (this.#awaitsConnectionSince !== undefined) this.#addConnectionWait(now);
    this.endedAt = now;
    this.ms = now - this.#since;
    if (this.firstAttemptAt === undefined) return;
    this.upstreamMs = now - this.firstAttemptAt;
    this.serverMs = Math.max(0, this.upstreamMs - (this.waitedMs - this.#queuedMs));
  }

  /** Records the answer of the server. */
  answered(answer: Response): void {
    this.responseBytes = bytesOf(answer)?.length ?? Buffer.byteLength(answer.text);
    this.judge(outlineJsonOf(answer), answer.outcome);
  }

  /** Records what an answer states. */
  judge({ result, error }: Response['json'], outcome: Response['outcome']): void {
    if (outcome === 'error') {
      const code = isObject(error) ? error.code : undefined;
      const message = isObject(error) ? error.message : undefined;
      this.failed(
        'answered',
        typeof code === 'number' ? code : undefined,
        typeof message === 'string' ? message.slice(0, MAX_MESSAGE_CHARACTERS) : undefined,
      );
    } else if (this.method === 'tools/call' && isObject(result) && result.isError === true) {
      this.outcome = 'tool_error';
    }
  }

  failed(reason: string, code: number | undefined, message?: string): void {
    this.outcome = 'error';
    this.message = message;
    this.reason = reason;
    this.code = code;
  }
}

export interface CallRecordOptions {
  readonly transport: 'stdio' | 'http';
  readonly request: Request;
  readonly client: Client;
  readonly userAgent?: string | undefined;
  readonly profile: string;
  readonly clock: Clock;
}

/** The name that a request gives to a tool or prompt. */
export function targetOf(message: Message): string | undefined {
  if (message.kind !== 'request') return undefined;
  if (message.method !== 'tools/call' && message.method !== 'prompts/get') return undefined;
  const { name } = paramsOf(message);
  return typeof name === 'string' ? name : undefined;
}

/** Adds the time that `work` takes to a wait of the call. */
export function addWait<T>(
  record: CallRecord | undefined,
  wait: CallWait,
  clock: Clock,
  work: Promise<T>,
): Promise<T> {
  // Without a record, an async function would cost each call that waits a promise of its own.
  return record ? timed(record, wait, clock, work) : work;
}

async function timed<T>(record: CallRecord, wait: CallWait, clock: Clock, work: Promise<T>): Promise<T> {
  const since = clock.monotonic();
  try {
    return await work;
  } finally {
    record[wait] += clock.monotonic() - since;
  }
}
