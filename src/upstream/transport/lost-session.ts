import { ProxyError } from '../../core/errors/errors.ts';
import { isObject, type JsonObject, METHOD_NOT_FOUND, type Response } from '../../core/jsonrpc/message.ts';
import { errorTypeOf, isRejectedUnread } from '../../core/pipeline/error-type.ts';
import { messageIn } from '../../endpoint/aws-errors.ts';
import { type HttpHeaders, headerOf } from '../http/incoming.ts';
import { decodeBody, jsonRpcErrorOf, sessionLost, textsOf } from './answer.ts';
import { isAboutLostSession } from './session-words.ts';

/** The parts of a failed response that can report a lost session. */
export interface FailedAnswer {
  readonly status: number;
  /** `x-amzn-errortype`; "" where it is absent. */
  readonly errorType?: string;
  /** The code of the JSON-RPC error, if any. */
  readonly code: number | undefined;
  /** The error's message and what its data says, or the body's words. */
  readonly message: string;
  /** The id that the request carried. */
  readonly sessionId?: string | undefined;
}

/** AWS's code for an unknown session, or one of another identity. */
const AWS_SESSION_NOT_FOUND = -30001;

/** The runtime, gateway or qualifier does not exist: a new session would not help. */
const NO_RESOURCE = /ResourceNotFoundException/;

/**
 * True where an error says that the session is lost, so that the request did not run. Servers use
 * any status and wording, so the text decides. Only for requests with a session id, never for
 * results. Pure.
 */
export function saysSessionLost({ status, errorType = '', code, message, sessionId }: FailedAnswer): boolean {
  if (code === AWS_SESSION_NOT_FOUND) return true;
  const text = `${errorType}. ${message}`;
  // With a 2xx, the error may concern a tool's own session: the id tells them apart.
  if (isAboutLostSession(text, status < 300 ? sessionId : undefined)) return true;
  // MCP: 404 means a lost session, whatever the text.
  return status === 404 && code !== METHOD_NOT_FOUND && !NO_RESOURCE.test(text);
}

/** One response that may report a lost session. */
export interface JudgedAnswer {
  readonly status: number;
  readonly errorType?: string;
  /** The JSON-RPC error that came, where one did. */
  readonly error?: Response | undefined;
  /** The body that carried the error, or came instead. */
  readonly body?: Buffer | undefined;
  readonly sessionId?: string | undefined;
}

/** Returns the session-lost error; undefined where the response does not report it. Pure. */
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
  const said = raw === undefined ? bodyTexts(text) : errorTexts(raw);
  const shown = said.at(0) ?? messageIn({ body: text, errorType: '' });
  const failed: FailedAnswer = {
    status,
    errorType,
    code: typeof code === 'number' ? code : undefined,
    message: said.join('. '),
    sessionId,
  };
  if (!saysSessionLost(failed)) return undefined;
  // The id gives access to the session, and errors are logged.
  return sessionLost(sessionId ? shown.replaceAll(sessionId, '...') : shown, { httpStatus: status });
}

/** The members in which servers put error texts: JSON-RPC, AWS, OAuth, RFC 9457, frameworks. */
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

/** The texts of a JSON-RPC error and its data; some servers use a bare string. */
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

/** The texts of a body that is not JSON-RPC. */
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

/** The same for an HTTP response whose body was read. */
export function readLostSession(
  { status, headers }: { readonly status: number; readonly headers: HttpHeaders },
  body: Buffer,
  sessionId: string | undefined,
): ProxyError | undefined {
  // The request was rejected for another reason than its session.
  if (isRejectedUnread(errorTypeOf(headers, decodeBody(body)))) return undefined;
  const errorType = headerOf(headers, 'x-amzn-errortype');
  return judgeLostSession({ status, errorType, error: jsonRpcErrorOf(body), body, sessionId });
}

/** True where the server's text names the session: a bare 404 may mean something else. */
export const namesSession = (error: unknown): boolean =>
  error instanceof ProxyError && isAboutLostSession(String(error.details.serverMessage ?? ''));

/** True where the session is lost and the request did not run. */
export const isSessionLost = (error: unknown): boolean =>
  error instanceof ProxyError && error.reason === 'session-lost' && error.sent === 'refused';
