import type { Id, Message, Response } from '../jsonrpc/message.ts';

/**
 * The upstream session that a server's own request came from, so that the answer finds its way
 * back. Opaque to layers.
 */
export interface Origin {
  readonly profile: string;
  /** Resolves when the session is no more, and with it everything that it asked of the client. */
  readonly gone: Promise<void>;
  /**
   * Whether the client's request of that id is under way there: what the session asks may be about
   * it. Absent: nobody can tell.
   */
  carries?(id: Id): boolean;
}

/**
 * Of what the proxy says itself, which asks nothing of the client; and of what a server asks an
 * HTTP client, which keeps its sessions itself: nothing of either is ever forsaken.
 */
export class PermanentOrigin implements Origin {
  readonly profile: string;

  constructor(profile: string) {
    this.profile = profile;
  }

  /**
   * Made for each who asks: what waits for a promise that is kept, and never settles, is kept with
   * it.
   */
  get gone(): Promise<void> {
    return new Promise(() => undefined);
  }
}

/**
 * Takes one message that comes down before, or beside, the final reply. Resolves when the client
 * has taken it; whoever reads the socket awaits that, so that a slow client slows the socket
 * instead of filling memory.
 */
export type Emit = (message: Message, origin: Origin) => Promise<void>;

/**
 * The time a call has left. A layer whose waiting must not count holds it; every hold is released
 * once.
 */
export interface Deadline {
  /**
   * Milliseconds; Infinity where there is no end. What would wait longer than that need not begin.
   */
  readonly remainingMs: number;
  /** Stops the clock until the returned function is called. */
  hold(): () => void;
}

/** For what no client's clock runs: notifications, and requests of the proxy's own. */
export const NO_DEADLINE: Deadline = { remainingMs: Number.POSITIVE_INFINITY, hold: () => () => undefined };

/** The connection that a call came from: one stdio client, or one of many HTTP clients. */
export interface Client {
  readonly id: string;
  /** The network address of an HTTP client; absent on stdio. */
  readonly address?: string;
  /** The name of the token that an HTTP client presented. */
  readonly token?: string | undefined;
  /** True where `id` stands for a session that the client named, and not for one request. */
  readonly inSession?: boolean;
}

/**
 * Stands for one batch line (revision 2025-03-26): its members, sent down together, are posted
 * together.
 */
export type Batch = Readonly<Record<never, never>>;

/** Batches exist in this revision only; clients of it need not name it. */
export const BATCH_REVISION = '2025-03-26';

export interface Call {
  readonly message: Message;
  readonly client: Client;
  /** The AWS profile that signs this call; "" is the default chain. */
  readonly profile: string;
  /**
   * Aborts when nobody waits for the reply any more. One controller per call, aborted from a set:
   * deriving signals from a long-lived parent leaks on Node 20.
   */
  readonly signal: AbortSignal;
  /**
   * That of the initialize call lives as long as its session and carries the standalone stream, so
   * that a layer sees all downward traffic by wrapping it.
   */
  readonly emit: Emit;
  readonly deadline: Deadline;
  /** For a response of the client: where the request that it answers came from. */
  readonly origin?: Origin;
  readonly batch?: Batch;
  /**
   * For an `initialize` that was answered from what the server said last time: the revision that
   * its client was told. Nothing is sent.
   */
  readonly assumedVersion?: string;
  /**
   * The answer must be the server's of now: none that is kept will do, and none that stands in for
   * it.
   */
  readonly fresh?: boolean;
  /** True for a tools/call whose tool is known to read only, or to be idempotent. */
  readonly idempotent?: boolean;
  /**
   * The HTTP exchange that it came by; absent on stdio. A layer that makes a call of its own for it
   * hands on `ownPassage`.
   */
  readonly httpContext?: HttpContext;
}

export interface HttpFacts {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Takes the bytes of an HTTP body as they come. */
export interface BodySink {
  /**
   * Resolves when there is room for more, and at once where nobody reads any more: then what is
   * written is lost.
   */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * `listener` is called once where the client takes so little that others should not have to wait
   * for it.
   */
  onSlow?(listener: () => void): void;
}

/**
 * The HTTP exchange that a call came by. Its client keeps the session, the revision and the streams
 * itself, so that nothing is derived, recovered or resumed for it.
 */
export interface HttpContext {
  /**
   * What the client's request says from end to end, names in lower case: session, revision, accept.
   */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Takes an answer that will not be tried again: its head now, its bytes as they come. Called
   * once. Absent where the answer is wanted as a message: because a layer reads or edits it, or
   * because the call is a layer's own. Returns undefined where it is wanted as a message because
   * the client does not accept its form.
   */
  readonly pass?: (head: HttpFacts) => BodySink | undefined;
  /** Called when an event that may be the answer is about to pass. */
  readonly onAnswer?: () => void;
  /** Called before the first byte of each attempt leaves. */
  readonly onSend?: () => void;
}

/**
 * What a handler's promise brings: the answer to a request; word that what follows a notification
 * may go; or word that the answer, to its last byte, has gone to the client by `passage.pass`. Of a
 * list of tools that went so there is a copy to read, where it could be understood.
 */
export type Reply =
  | { readonly kind: 'answer'; readonly message: Response; readonly http?: HttpFacts }
  | { readonly kind: 'accepted'; readonly http?: HttpFacts }
  | { readonly kind: 'passed'; readonly http: HttpFacts; readonly answer?: Response };

/** Every unit of the proxy has this one shape. Failures throw a `ProxyError`. */
export type Handler = (call: Call) => Promise<Reply>;

/** First listed is outermost. */
export type Layer = (next: Handler) => Handler;

/** A layer that stands in the way of some calls only. */
export const when =
  (concerns: (call: Call) => boolean, layer: Layer): Layer =>
  (next) => {
    const through = layer(next);
    return (call) => (concerns(call) ? through(call) : next(call));
  };

export function compose(layers: readonly Layer[], bottom: Handler): Handler {
  return layers.reduceRight((next, layer) => layer(next), bottom);
}
