import { ProxyError } from '../../core/errors/errors.ts';
import { isObject, type JsonObject, type Response } from '../../core/jsonrpc/message.ts';
import { errorTypeOf, isRejectedUnread } from '../../core/pipeline/error-type.ts';
import { messageIn } from '../../endpoint/aws-errors.ts';
import { type HttpHeaders, headerOf } from '../http/incoming.ts';
import { decodeBody, jsonRpcErrorOf, sessionLost, textsOf } from './answer.ts';
import { isAboutLostSession } from './session-words.ts';

/** What a failed answer of a server shows, as far as it can say that the session is gone. */
export interface FailedAnswer {
  readonly status: number;
  /** `x-amzn-errortype`; "" where it is absent. */
  readonly errorType?: string;
  /** Of the JSON-RPC error, where there is one. */
  readonly code: number | undefined;
  /** The error's message and what its data says, or the body's words. */
  readonly message: string;
  /** The id that the request carried. */
  readonly sessionId?: string | undefined;
}

/**
 * AWS's own code for a session that it does not know (any more), or that belongs to another
 * identity.
 */
const AWS_SESSION_NOT_FOUND = -30001;
/** The server has read the request, and knows its session: it does not know the method. */
const METHOD_NOT_FOUND = -32601;

/**
 * The runtime, the gateway or the qualifier that the URL names does not exist: a new session would
 * not help.
 */
const NO_RESOURCE = /ResourceNotFoundException/;

/**
 * True where an error says that the session is gone, and so that the request did not run. Servers
 * say it with every status and in many words, so that only the text tells. To be asked only of
 * requests that carried a session id, and never of a result. Pure.
 */
export function saysSessionLost({ status, errorType = '', code, message, sessionId }: FailedAnswer): boolean {
  if (code === AWS_SESSION_NOT_FOUND) return true;
  const text = `${errorType}. ${message}`;
  // With a 2xx, the error may be a tool's about a session of its own: then the id that it names
  // tells them apart.
  if (isAboutLostSession(text, status < 300 ? sessionId : undefined)) return true;
  // The specification's way, whatever the words.
  return status === 404 && code !== METHOD_NOT_FOUND && !NO_RESOURCE.test(text);
}

/** One answer that may say that the session is gone. */
export interface JudgedAnswer {
  readonly status: number;
  readonly errorType?: string;
  /** The JSON-RPC error that came, where one did. */
  readonly error?: Response | undefined;
  /** What it came in, or what came instead. */
  readonly body?: Buffer | undefined;
  readonly sessionId?: string | undefined;
}

/**
 * The error of a request whose session the server does not know; undefined where the answer does
 * not say that. Pure.
 */
export function judgeLostSession({
  status,
  errorType = '',
  error,
  body,
  sessionId,
}: JudgedAnswer): ProxyError | undefined {
  const raw = error?.json.error;
  const { code } = isObject(raw) ? raw : {};
  const text = body === undefined ? '' : (decodeBody(body) ?? '');
  const shown = errorTexts(raw).at(0) ?? messageIn({ body: text, errorType: '' });
  const said = raw === undefined ? bodyTexts(text) : errorTexts(raw);
  const failed: FailedAnswer = {
    status,
    errorType,
    code: typeof code === 'number' ? code : undefined,
    message: said.join('. '),
    sessionId,
  };
  if (!saysSessionLost(failed)) return undefined;
  // The id opens the session to whoever reads it, and errors are logged.
  return sessionLost(sessionId ? shown.replaceAll(sessionId, '...') : shown, { httpStatus: status });
}

/**
 * The members in which servers put words: JSON-RPC, AWS, OAuth, problem details (RFC 9457) and what
 * frameworks make up.
 */
const TEXT_KEYS = [
  'message',
  'Message',
  'error',
  'code',
  '__type',
  'error_description',
  'detail',
  'title',
  'reason',
];

/**
 * What the error of a JSON-RPC response says, its data included; some servers put a bare string
 * there.
 */
function errorTexts(error: unknown): string[] {
  if (typeof error === 'string') return [error];
  return isObject(error) ? [...textMembers(error), ...dataTexts(error)] : [];
}

const textMembers = (object: JsonObject): string[] =>
  TEXT_KEYS.map((key) => object[key]).filter((value) => typeof value === 'string');

function dataTexts({ data }: JsonObject): string[] {
  if (typeof data === 'string') return [data];
  return isObject(data) ? textMembers(data) : [];
}

/** A result, a request or a notification: no error. */
const isMessage = ({ result, method }: JsonObject): boolean =>
  (result !== undefined && result !== null) || method !== undefined;

/** What a body that is no JSON-RPC says. */
const bodyTexts = (body: string): string[] =>
  textsOf(body).flatMap((text) => {
    try {
      const json: unknown = JSON.parse(text);
      if (isObject(json)) return isMessage(json) ? [] : [...textMembers(json), ...errorTexts(json.error)];
    } catch {
      // Then it is text, or a page.
    }
    return [messageIn({ body: text, errorType: '' })];
  });

/** The same for an HTTP answer whose body was read whole. */
export function readLostSession(
  { status, headers }: { readonly status: number; readonly headers: HttpHeaders },
  body: Buffer,
  sessionId: string | undefined,
): ProxyError | undefined {
  // The request was rejected for something else than its session.
  if (isRejectedUnread(errorTypeOf(headers, decodeBody(body)))) return undefined;
  const errorType = headerOf(headers, 'x-amzn-errortype');
  return judgeLostSession({ status, errorType, error: jsonRpcErrorOf(body), body, sessionId });
}

/**
 * True where the server itself has spoken of its session: a bare 404 may be about something else.
 */
export const namesSession = (error: unknown): boolean =>
  error instanceof ProxyError && isAboutLostSession(String(error.details.serverMessage ?? ''));

/** The session is gone, and what was sent did not run. */
export const isSessionLost = (error: unknown): boolean =>
  error instanceof ProxyError && error.reason === 'session-lost' && error.sent === 'refused';
