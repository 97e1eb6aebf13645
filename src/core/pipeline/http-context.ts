import type { BodySink, Emit, HttpContext, HttpFacts, RequestHeaders } from './call.ts';

/** Headers that repeat values of the body, and so belong to one message. */
const MESSAGE_HEADERS = /^mcp-(name|param-.*)$/;

/**
 * The HTTP context for a request that a layer makes on behalf of a call, in its session and
 * revision.
 */
export function deriveHttpContext({ headers }: HttpContext, method: string): HttpContext {
  const kept = Object.entries(headers).filter(([name]) => !MESSAGE_HEADERS.test(name));
  return {
    headers: { ...Object.fromEntries(kept), ...(headers['mcp-method'] ? { 'mcp-method': method } : {}) },
  };
}

/** The sender of an HTTP request. */
export interface HttpCaller {
  readonly address: string;
  /** The name of its token, or of the user whose access token it presents. */
  readonly token: string | undefined;
  /** The end of its access token, wall clock; undefined for others. */
  readonly expiresAt: number | undefined;
}

/** One HTTP request of a client with its response, as the listener provides it. */
export interface HttpExchange {
  /** As in `HttpContext`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Absent where the proxy itself is the client. */
  readonly caller?: HttpCaller | undefined;
  /** Calls `listener` once, when the client disconnects before its response is complete. */
  onGone(listener: () => void): void;
  /** Starts the answer; once. */
  begin(head: HttpFacts): BodySink;
  /** The answer is complete. */
  end(): void;
  /** Cuts the response off so that no client takes it for complete. */
  breakOff(): void;
}

/** A request without a message: GET opens the standalone stream, DELETE ends the session. */
export interface BareRequest {
  readonly method: 'GET' | 'DELETE';
  readonly headers: RequestHeaders;
  readonly profile: string;
  readonly signal: AbortSignal;
  readonly pass: (head: HttpFacts) => BodySink | undefined;
  readonly emit: Emit;
}
