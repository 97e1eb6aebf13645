import type { BodySink, HttpContext, HttpFacts } from './call.ts';

/** Headers that repeat what stands in the body, and so belong to one message. */
const MESSAGE_HEADERS = /^mcp-(name|param-.*)$/;

/**
 * The passage of a request that a layer makes for itself, on the session and revision of the call
 * that it is made for.
 */
export function deriveHttpContext({ headers }: HttpContext, method: string): HttpContext {
  const kept = Object.entries(headers).filter(([name]) => !MESSAGE_HEADERS.test(name));
  return {
    headers: { ...Object.fromEntries(kept), ...(headers['mcp-method'] ? { 'mcp-method': method } : {}) },
  };
}

/** One HTTP request of a client, as the front hands it in. */
export interface HttpExchange {
  /** As in `Passage`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Absent where the proxy itself is the client. */
  readonly caller?: { readonly address: string; readonly token: string | undefined };
  /** Tells, once, that the client has gone before its answer was complete. */
  onGone(listener: () => void): void;
  /** Starts the answer; once. */
  begin(head: HttpFacts): BodySink;
  /** The answer is complete. */
  end(): void;
  /** Breaks the answer off in a way that nobody takes for its end. */
  breakOff(): void;
}
