import { ProxyError } from '../core/errors/errors.ts';
import type { Redactor } from '../core/errors/redact.ts';
import { RedactedBody, redactedHead } from '../core/http/redacted-body.ts';
import { outlineJsonOf } from '../core/jsonrpc/long-answer.ts';
import { isObject, type Response, valueTextAt, withValueAt } from '../core/jsonrpc/message.ts';
import { type Layer, type Pass, type Reply, withPass } from '../core/pipeline/call.ts';

/**
 * Removes secrets from errors of server and proxy: a server that echoes the request would pass the
 * session token to the model. Successful results are unchanged.
 */
export function redaction(redactor: Redactor): Layer {
  // Shared by all calls, and not async: thousands may wait for an answer.
  const fail = (error: unknown): never => {
    throw redactError(error, redactor);
  };
  const finish = (reply: Reply): Reply => redactReply(reply, redactor, false);
  return (next) =>
    function redaction(call) {
      const { httpContext } = call;
      const guard = httpContext?.pass && new GuardedPass(httpContext.pass, redactor);
      let answering: Promise<Reply>;
      try {
        answering = next(guard ? withPass(call, guard.pass) : call);
      } catch (error) {
        return Promise.reject(redactError(error, redactor));
      }
      return httpContext ? finishHttp(answering, guard, redactor, fail) : answering.then(finish, fail);
    };
}

/** The reply to an HTTP client, when what is held of a body that passed has been written. */
const finishHttp = (
  answering: Promise<Reply>,
  guard: GuardedPass | undefined,
  redactor: Redactor,
  fail: (error: unknown) => never,
): Promise<Reply> =>
  answering.then((reply) => {
    const flushing = reply.kind === 'passed' ? guard?.flush() : undefined;
    const redacted = redactReply(reply, redactor, true);
    return flushing ? flushing.then(() => redacted, fail) : redacted;
  }, fail);

/** The error without secrets; the same object where it has none. */
function redactError(error: unknown, redactor: Redactor): unknown {
  if (!(error instanceof ProxyError)) return error;
  const { message, fact, details, reason, sent, retryAfterMs, cause } = error;
  const cleaned = redactor.clean(message);
  const shown = redactValue(details, redactor) as typeof details;
  if (cleaned === message && shown === details) return error;
  return new ProxyError(reason, cleaned, {
    sent,
    fact: redactor.clean(fact),
    retryAfterMs,
    details: shown,
    cause,
  });
}

/** Redacts every text in the value; returns the same value where nothing changes. */
function redactValue(value: unknown, redactor: Redactor): unknown {
  if (typeof value === 'string') return redactor.clean(value);
  if (Array.isArray(value)) {
    const items = value.map((item) => redactValue(item, redactor));
    return items.some((item, at) => item !== value[at]) ? items : value;
  }
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, redactValue(item, redactor)] as const);
  return entries.some(([key, item]) => item !== value[key]) ? Object.fromEntries(entries) : value;
}

/** @param showsHead - the client is an HTTP client, which also gets the response's headers. */
function redactReply(reply: Reply, redactor: Redactor, showsHead: boolean): Reply {
  if (reply.kind !== 'answer') return reply;
  const message = redactResponse(reply.message, redactor);
  const http = showsHead && reply.http ? redactedHead(reply.http, redactor) : reply.http;
  if (message === reply.message && http === reply.http) return reply;
  return http ? { ...reply, message, http } : { ...reply, message };
}

function redactResponse(message: Response, redactor: Redactor): Response {
  if (message.outcome === 'error') return redactAt(message, 'error', (text) => redactor.clean(text));
  // A failed tool's text is redacted like an error, but only of known secrets: look-alikes may be
  // its subject.
  const { result } = outlineJsonOf(message);
  const failed = isObject(result) && result.isError === true;
  return failed ? redactAt(message, 'result', (text) => redactor.withoutKnown(text)) : message;
}

function redactAt(message: Response, key: 'error' | 'result', clean: (text: string) => string): Response {
  const text = valueTextAt(message.text, [key]);
  const cleaned = text === undefined ? text : clean(text);
  return cleaned === undefined || cleaned === text ? message : withValueAt(message, [key], cleaned);
}

/** A `pass` whose bodies lose the secrets in their errors, and the end of the last one. */
class GuardedPass {
  readonly pass: Pass;
  #body: RedactedBody | undefined;

  /** @param refuse - throws for a compressed answer, in which no secret can be found. */
  constructor(pass: Pass, redactor: Redactor, refuse?: () => never) {
    this.pass = (head, isPlain) => {
      const encoding = head.headers['content-encoding'];
      if (encoding !== undefined && encoding !== 'identity') refuse?.();
      const sink = pass(redactedHead(head, redactor), isPlain);
      // Secrets are removed from failures only.
      if (isPlain) return sink;
      this.#body = sink && new RedactedBody(sink, head, redactor);
      return this.#body;
    };
  }

  /** Writes what is held of a body that has passed; undefined where nothing is. */
  flush(): Promise<void> | undefined {
    return this.#body?.flush();
  }
}

/**
 * Does for a request that passes no layer what the layer does for others.
 * @param forward - passes the response on by the given function.
 */
export function redactForwarded(
  pass: Pass,
  redactor: Redactor,
  forward: (pass: Pass) => Promise<Reply>,
): Promise<Reply> {
  const guard = new GuardedPass(pass, redactor, refuseCompressed);
  const fail = (error: unknown): never => {
    throw redactError(error, redactor);
  };
  let forwarded: Promise<Reply>;
  try {
    forwarded = forward(guard.pass);
  } catch (error) {
    forwarded = Promise.reject(error);
  }
  // Not async: its variables would live as long as a stream.
  return forwarded.then((reply) => guard.flush()?.then(() => reply, fail) ?? reply, fail);
}

const refuseCompressed = (): never => {
  throw compressed();
};

/** No client accepts a compressed stream: the listener forwards no Accept-Encoding. */
const compressed = (): ProxyError =>
  new ProxyError(
    'unusable-answer',
    "The server's answer cannot be used: it is compressed, which was not requested. Turn that compression off in the server or in the proxy before it.",
    { sent: 'maybe' },
  );
