import { ProxyError } from '../core/errors/errors.ts';
import type { Redactor } from '../core/errors/redact.ts';
import { isObject, type Response, valueTextAt, withValueAt } from '../core/jsonrpc/message.ts';
import type { BodySink, HttpFacts, Layer, Reply } from '../core/pipeline/call.ts';

/** An error answer is short; a longer piece of a body belongs to a result. */
const MAX_ERROR_PIECE_BYTES = 64 * 1024;

/**
 * Takes secrets out of the errors that a client gets, the server's and the proxy's own: a server
 * that repeats the request in its error would hand the session token to the model. Successful
 * results, and errors without a secret, keep their text.
 */
export function redaction(redactor: Redactor): Layer {
  return (next) =>
    async function redaction(call) {
      const { httpContext } = call;
      const pass = httpContext?.pass;
      const watched =
        httpContext && pass
          ? {
              ...call,
              httpContext: {
                ...httpContext,
                pass: (head: HttpFacts) => redactSink(pass(head), head, redactor),
              },
            }
          : call;
      try {
        return redactReply(await next(watched), redactor);
      } catch (error) {
        throw redactError(error, redactor);
      }
    };
}

/** The error without secrets; the same error where it has none. */
export function redactError(error: unknown, redactor: Redactor): unknown {
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

/** The value with every text in it cleaned; the same value where nothing changes. */
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

function redactReply(reply: Reply, redactor: Redactor): Reply {
  if (reply.kind !== 'answer') return reply;
  const message = redactResponse(reply.message, redactor);
  return message === reply.message ? reply : { ...reply, message };
}

function redactResponse(message: Response, redactor: Redactor): Response {
  const { outcome, json } = message;
  if (outcome === 'error') return redactAt(message, 'error', (text) => redactor.clean(text));
  // A tool that failed tells the model as much as an error does; what only looks like a secret may
  // be its subject.
  const failed = isObject(json.result) && json.result.isError === true;
  return failed ? redactAt(message, 'result', (text) => redactor.withoutKnown(text)) : message;
}

function redactAt(message: Response, key: 'error' | 'result', clean: (text: string) => string): Response {
  const text = valueTextAt(message.text, [key]);
  const cleaned = text === undefined ? text : clean(text);
  return cleaned === undefined || cleaned === text ? message : withValueAt(message, [key], cleaned);
}

/**
 * A body that passes unread: one that is no success is cleaned whole, an error in a success where
 * it comes in one piece.
 */
export function redactSink(
  sink: BodySink | undefined,
  { status }: HttpFacts,
  redactor: Redactor,
): BodySink | undefined {
  if (!sink) return sink;
  const refused = status < 200 || status >= 300;
  return {
    write(chunk) {
      if (chunk.length > MAX_ERROR_PIECE_BYTES) return sink.write(chunk);
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      if (refused) return sink.write(Buffer.from(redactor.clean(bytes.toString('utf8'))));
      return sink.write(isFailure(bytes) ? maskSecrets(bytes, redactor) : chunk);
    },
    onSlow: (listener) => sink.onSlow?.(listener),
  };
}

const isFailure = (bytes: Buffer): boolean =>
  (bytes.includes('"error"') && !bytes.includes('"result"')) ||
  (bytes.includes('"isError"') && /"isError"\s*:\s*true/.test(bytes.toString('latin1')));

/**
 * Each known secret is replaced by as many characters: the head of the answer may have told its
 * length.
 */
function maskSecrets(bytes: Buffer, redactor: Redactor): Buffer {
  const text = bytes.toString('latin1');
  const cleaned = redactor.withoutKnown(text, (secret) => '*'.repeat(secret.length));
  return cleaned === text ? bytes : Buffer.from(cleaned, 'latin1');
}
