import { wordsOf } from '../../aws/refusal.ts';
import { ProxyError } from '../../core/errors.ts';
import { isObject, type Response } from '../../core/message.ts';
import { decodeBody, sessionLost } from './answer.ts';

/** What a failed answer of a server shows, as far as it can say that the session is gone. */
export interface FailedAnswer {
  readonly status: number;
  /** Of the JSON-RPC error, where there is one. */
  readonly code: number | undefined;
  /** The error's message, or the body's words. */
  readonly message: string;
}

/** AWS's own code for a session that it does not know (any more), or that belongs to another identity. */
const AWS_SESSION_NOT_FOUND = -30001;

/** What servers write that answer 400 where the specification asks for 404; the reference server is one of them. */
const UNKNOWN_SESSION = /session id|session not found|no valid session|unknown session/i;

/** "Your session token has expired" is about credentials, and opening a new session would not help. */
const ABOUT_CREDENTIALS = /token/i;

/**
 * True where the answer says that the session is gone, and so that the request did not run. Only for requests that carried a
 * session id: without one, 404 is about the URL.
 */
export function saysSessionLost({ status, code, message }: FailedAnswer): boolean {
  if (status === 404 || code === AWS_SESSION_NOT_FOUND) return true;
  return status === 400 && UNKNOWN_SESSION.test(message) && !ABOUT_CREDENTIALS.test(message);
}

/**
 * The error of a request that a session did not know any more was sent on; undefined where the answer does not say that. Pure.
 * @param error - the JSON-RPC error that came, where one did.
 * @param body - what it came in.
 */
export function lostSession(
  status: number,
  error: Response | undefined,
  body: Buffer | undefined,
): ProxyError | undefined {
  const { code, message } = isObject(error?.json.error) ? error.json.error : {};
  const failed: FailedAnswer = {
    status,
    code: typeof code === 'number' ? code : undefined,
    message:
      typeof message === 'string'
        ? message
        : wordsOf({ body: body ? (decodeBody(body) ?? '') : '', errorType: '' }),
  };
  return saysSessionLost(failed) ? sessionLost(failed.message, { httpStatus: status }) : undefined;
}

/** The session is gone, and what was sent did not run. */
export const isLost = (error: unknown): boolean =>
  error instanceof ProxyError && error.reason === 'session-lost' && error.sent === 'refused';
