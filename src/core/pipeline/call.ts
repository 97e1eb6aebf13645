import type { Id, Message, Response } from '../jsonrpc/message.ts';
import type { CallRecord, Client, KnownSession } from './call-record.ts';
import type { Span } from './span.ts';

export type { Client, KnownSession };

/**
 * The upstream session or exchange that a server's message came from, so that the answer finds its
 * way back. Opaque to layers.
 */
export interface Origin {
  /** The AWS profile of the session. */
  readonly profile: string;
  /** Resolves when the session ends. Its open server requests end with it. */
  readonly gone: Promise<void>;
  /**
   * Whether the client's request with this id is in flight there. Absent where that cannot be
   * known.
   */
  carries?(id: Id): boolean;
}

/**
 * The origin of messages whose session never ends: the proxy's own, and those of clients that are
 * passed through. `gone` never resolves.
 */
export class PermanentOrigin implements Origin {
  readonly profile: string;

  constructor(profile: string) {
    this.profile = profile;
  }

  /** A new promise per call: listeners on a shared promise that never settles would leak. */
  get gone(): Promise<void> {
    return new Promise(() => undefined);
  }
}

/**
 * Passes one message to the client before or beside the final reply. Resolves when the client has
 * accepted it. The reader of the socket awaits it, so that a slow client slows the socket.
 */
export type Emit = (message: Message, origin: Origin) => Promise<void>;

/**
 * The time a call has left. A layer whose waiting must not count holds it; every hold is released
 * once.
 */
export interface Deadline {
  /** Milliseconds; Infinity without a limit. A longer wait need not begin. */
  readonly remainingMs: number;
  /** Stops the clock until the returned function is called. */
  hold(): () => void;
}

/** For messages without a time limit: notifications, and requests of the proxy. */
export const NO_DEADLINE: Deadline = { remainingMs: Number.POSITIVE_INFINITY, hold: () => () => undefined };

/** Identifies one batch line (revision 2025-03-26), whose members are posted together. */
export type Batch = Readonly<Record<never, never>>;

/** Batches exist in this revision only; clients of it need not name it. */
export const BATCH_REVISION = '2025-03-26';

/** One message on its way through the proxy. Layers pass a copy to change it. */
export interface Call {
  /** The request, notification or response of the client. */
  readonly message: Message;
  /** The client that sent it. */
  readonly client: Client;
  /** The AWS profile that signs this call; "" is the default chain. */
  readonly profile: string;
  /**
   * Aborts when no one waits for the reply any more. Each call has its own controller: deriving
   * signals from a long-lived parent leaks on Node 20.
   */
  readonly signal: AbortSignal;
  /**
   * The `emit` of `initialize` lives as long as its session and carries the standalone stream, so a
   * layer sees all messages of the server by wrapping it.
   */
  readonly emit: Emit;
  /** The end of the call's time limit. */
  readonly deadline: Deadline;
  /**
   * Present where the client may read slowly: resolves when it has room for the answer. Whoever
   * reads an answer waits for it first; undefined where there is room now.
   */
  readonly room?: (() => Promise<void> | undefined) | undefined;
  /** For a response of the client: where the request that it answers came from. */
  readonly origin?: Origin | undefined;
  /** Present for a member of a batch; the same object for all members. */
  readonly batch?: Batch | undefined;
  /**
   * For an `initialize` that was answered from a snapshot: the revision in that answer. Nothing is
   * sent to the server.
   */
  readonly assumedVersion?: string | undefined;
  /** True where only a current answer of the server will do, not a cached one. */
  readonly fresh?: boolean | undefined;
  /** True for a tools/call whose tool is known to read only, or to be idempotent. */
  readonly idempotent?: boolean | undefined;
  /** Present where an observer measures calls: what waits for the call adds its time here. */
  readonly record?: CallRecord | undefined;
  /**
   * Where no record has it, the span that the call is a part of: for a request of the proxy, and
   * for one of a client whose trace is not recorded.
   */
  readonly span?: Span | undefined;
  /**
   * The HTTP exchange of the call; absent on stdio. A layer's own call gets `deriveHttpContext`.
   */
  readonly httpContext?: HttpContext | undefined;
  /** Additions to the message by a client in this process. */
  readonly sendOptions?: SendOptions | undefined;
}

/** Additions to one message by a client in this process, as with the transports of the MCP SDK. */
export interface SendOptions {
  /** Headers of its HTTP request, names in lower case. */
  readonly headers?: RequestHeaders | undefined;
  /** Continues a request after the event with this id, and sends nothing. Session era only. */
  readonly resumptionToken?: string | undefined;
  /** Receives the id of each event of the request's stream, once the event has been handled. */
  readonly onResumptionToken?: ((token: string) => void) | undefined;
}

/** Headers of a request, names in lower case. */
export type RequestHeaders = Readonly<Record<string, string>>;

/** The head of an HTTP response. */
export interface HttpFacts {
  /** The HTTP status. */
  readonly status: number;
  /** Its headers, names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Takes the bytes of an HTTP body as they come. */
export interface BodySink {
  /**
   * Resolves when there is room for more; at once where no one reads any more, and the bytes are
   * dropped. May return `ROOM` where no wait is needed.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** Calls `listener` once, when the client reads so slowly that others should not wait for it. */
  onSlow?(listener: () => void): void;
}

/** The promise of a sink that has room, by which its writer can save the wait. */
export const ROOM: Promise<void> = Promise.resolve();

/**
 * Begins the answer to an HTTP client.
 * @param isPlain - true where the whole body is known to be a result in which nothing failed.
 */
export type Pass = (head: HttpFacts, isPlain?: boolean) => BodySink | undefined;

/**
 * The HTTP exchange of a call. Its client keeps session, revision and streams itself, so nothing is
 * derived, recovered or resumed for it.
 */
export interface HttpContext {
  /** The client's end-to-end headers, names in lower case: session, revision, accept. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Passes a final answer through: its head now, its bytes as they arrive. Called once. Absent
   * where a layer needs the answer as a message. Returns undefined where the client does not accept
   * its media type.
   */
  readonly pass?: Pass | undefined;
  /** Called when an event that may be the answer is about to pass through. */
  readonly onAnswer?: (() => void) | undefined;
  /** Called when the answer is about to pass, or what may be it: no other may follow. */
  readonly onAnswered?: (() => void) | undefined;
  /** Called when the client can resume the stream that passes. */
  readonly onResumable?: (() => void) | undefined;
  /** Called before the first byte of each attempt leaves. */
  readonly onSend?: (() => void) | undefined;
}

/**
 * The return value of a handler. `answer`: to a request. `accepted`: a notification. `passed`: the
 * whole answer went through `httpContext.pass`, with a copy if it is a readable tool list.
 */
export type Reply =
  | { readonly kind: 'answer'; readonly message: Response; readonly http?: HttpFacts }
  | { readonly kind: 'accepted'; readonly http?: HttpFacts }
  | { readonly kind: 'passed'; readonly http: HttpFacts; readonly answer?: Response };

/** Answers a call. @throws ProxyError for every failure. */
export type Handler = (call: Call) => Promise<Reply>;

/** Wraps a handler. The first in a list of layers is the outermost. */
export type Layer = (next: Handler) => Handler;

/** Applies a layer to some calls only. */
export const when =
  (concerns: (call: Call) => boolean, layer: Layer): Layer =>
  (next) => {
    const through = layer(next);
    return (call) => (concerns(call) ? through(call) : next(call));
  };

export function compose(layers: readonly Layer[], bottom: Handler): Handler {
  return layers.reduceRight((next, layer) => layer(next), bottom);
}

/** The span that a call is a part of; undefined without tracing. */
export const spanOfCall = ({ span, record }: Call): Span | undefined => span ?? record?.span;

/** Requires every key, so that no copy lacks one. */
type EveryPart<T> = { readonly [K in keyof Required<T>]: T[K] };

/** The parts of a call that a layer replaces. */
type Replaced = Pick<Call, 'message' | 'emit' | 'httpContext'>;

/**
 * Not spread: several layers copy each call, and V8 then gives every copy a hidden class of its
 * own.
 */
const copyOf = (call: Call, { message, emit, httpContext }: Replaced): EveryPart<Call> => ({
  message,
  client: call.client,
  profile: call.profile,
  signal: call.signal,
  emit,
  deadline: call.deadline,
  room: call.room,
  origin: call.origin,
  batch: call.batch,
  assumedVersion: call.assumedVersion,
  fresh: call.fresh,
  idempotent: call.idempotent,
  record: call.record,
  span: call.span,
  httpContext,
  sendOptions: call.sendOptions,
});

/** The call with another message. */
export const withMessage = (call: Call, message: Message): Call =>
  copyOf(call, { message, emit: call.emit, httpContext: call.httpContext });

/** The HTTP context with another `pass`. */
const contextWithPass = (context: HttpContext, pass: HttpContext['pass']): EveryPart<HttpContext> => ({
  headers: context.headers,
  pass,
  onAnswer: context.onAnswer,
  onAnswered: context.onAnswered,
  onResumable: context.onResumable,
  onSend: context.onSend,
});

/** The call with another `pass`; the same call where it has none. */
export function withPass(call: Call, pass: HttpContext['pass']): Call {
  const { httpContext } = call;
  if (!httpContext?.pass) return call;
  return copyOf(call, {
    message: call.message,
    emit: call.emit,
    httpContext: contextWithPass(httpContext, pass),
  });
}

/**
 * The call with another `emit`.
 * @param pass - replaces the `pass` of the HTTP context.
 */
export const withEmit = (call: Call, emit: Emit, pass?: HttpContext['pass']): Call =>
  copyOf(call, {
    message: call.message,
    emit,
    httpContext: pass && call.httpContext ? contextWithPass(call.httpContext, pass) : call.httpContext,
  });

/** The call with an `emit` that first shows each message to `onMessage`. */
export const tapEmit = (call: Call, onMessage: (message: Message, origin: Origin) => void): Call =>
  withEmit(call, (message, origin) => {
    onMessage(message, origin);
    return call.emit(message, origin);
  });
