import { isAscii, isUtf8 } from 'node:buffer';
import type { Authorizer } from '../../auth/authorizer.ts';
import { ProxyError, type Sent } from '../../core/errors/errors.ts';
import { mayHaveRunWith } from '../../core/errors/status-class.ts';
import { hasMoreContainers } from '../../core/jsonrpc/containers.ts';
import { readLongAnswer } from '../../core/jsonrpc/long-answer.ts';
import {
  BYTE_ORDER_MARK,
  classify,
  type Message,
  type Response,
  toOneLine,
} from '../../core/jsonrpc/message.ts';
import {
  bytesOf,
  isErrorObject,
  readMessages,
  readMessagesAndFaults,
  type Unusable,
} from '../../core/jsonrpc/parse.ts';
import type { ReadLimit } from '../../core/jsonrpc/read-limit.ts';
import {
  type ErrorMeaning,
  errorTypeOf,
  isColdStart,
  isRejectedUnread,
  meaningOf,
} from '../../core/pipeline/error-type.ts';
import { retryAfterOf } from '../../core/pipeline/retry-after.ts';
import {
  explainRefusal,
  isRefusal,
  judgeRefusal,
  messageIn,
  type RefusalContext,
  withoutRequestEchoes,
} from '../../endpoint/aws-errors.ts';
import { type HttpHeaders, headerOf, mediaTypeOf } from '../http/incoming.ts';

/** How much of a body that is no JSON-RPC the client gets to see in `error.data`. */
const MAX_BODY_SHOWN = 2048;

export interface AnswerContext extends Omit<RefusalContext, 'status'> {
  /** Path of the endpoint with its query. */
  readonly path: string;
  /** Explains refusals of its credentials. Absent: they are explained as those of a signature. */
  readonly authorizer?: Pick<Authorizer, 'explain'> | undefined;
}

/**
 * The body as text, or undefined where it is no UTF-8: replacement characters would corrupt it
 * silently.
 */
export function decodeBody(bytes: Buffer): string | undefined {
  // Most JSON is, as Python writes it: 8 MB are decoded and parsed in 14 ms instead of 18.
  if (isAscii(bytes)) return bytes.toString('latin1');
  return isUtf8(bytes) ? withoutByteOrderMark(bytes).toString('utf8') : undefined;
}

const MARK_BYTES = Buffer.from(BYTE_ORDER_MARK);

const withoutByteOrderMark = (bytes: Buffer): Buffer =>
  bytes.subarray(0, 3).equals(MARK_BYTES) ? bytes.subarray(3) : bytes;

/**
 * Reads the messages of a JSON body, each on one line, and its invalid elements.
 * @throws ProxyError unusable-answer, where it is no JSON; line-too-long, where it would take too
 * much memory.
 */
export function parseBody(
  bytes: Buffer,
  status: number,
  headers: HttpHeaders,
  limit: ReadLimit,
): (Message | Unusable)[] {
  const long = readLongAnswer(withoutByteOrderMark(bytes), limit.containers);
  if (long) return [long];
  if (hasMoreContainers(bytes, limit.containers)) throw limit.tooMany();
  const text = decodeBody(bytes);
  try {
    if (text !== undefined) {
      const found = readMessagesAndFaults(text, withoutByteOrderMark(bytes));
      return found.map((each) => (each.kind === 'unusable' ? each : withOneLineText(each)));
    }
  } catch {
    // Falls through: what is wrong is said below.
  }
  const what = text === undefined ? 'bytes that are not UTF-8' : 'broken JSON';
  throw unusableAnswer(`HTTP ${status} with ${what} (${bytes.length} bytes)`, status, headers, text ?? '');
}

export function withOneLineText<M extends Message>(message: M): M {
  if (bytesOf(message)) return message;
  const text = toOneLine(message.text);
  return text === message.text ? message : { ...message, text };
}

/** The JSON-RPC error of a non-2xx body, whatever id it carries, or undefined. */
export function jsonRpcErrorOf(bytes: Buffer): Response | undefined {
  for (const text of textsOf(decodeBody(bytes) ?? '')) {
    const error = /^\s*[[{]/.test(text) ? errorIn(text) : undefined;
    if (error) return error;
  }
  return undefined;
}

function errorIn(text: string): Response | undefined {
  try {
    return readMessages(text)
      .map(withOneLineText)
      .find((message): message is Response => message.kind === 'response' && message.outcome === 'error');
  } catch {
    return undefined;
  }
}

/**
 * The data of each event where an error body is an event stream, as some servers write every body;
 * else the body itself.
 */
export function textsOf(body: string): string[] {
  if (!/^(?:event|data|id|retry)?:/.test(body)) return [body];
  return body.split(/(?:\r\n|\n|\r){2}/).flatMap((event) => {
    const data = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'));
    return data.length === 0 ? [] : [data.map((line) => line.slice('data:'.length).trim()).join('\n')];
  });
}

/** The JSON-RPC error that a non-2xx body consists of, to the letter, or undefined. */
export function writtenError(bytes: Buffer): Response | undefined {
  const text = decodeBody(bytes);
  if (!text || !/^\s*\{/.test(text)) return undefined;
  try {
    const message = classify(text, JSON.parse(text));
    const isError = typeof message !== 'string' && message.kind === 'response' && message.outcome === 'error';
    return isError && isErrorObject(message.json.error) ? message : undefined;
  } catch {
    return undefined;
  }
}

export function unusableAnswer(
  what: string,
  status: number,
  headers: HttpHeaders,
  body: string,
  advice = "The server's log may tell why.",
): ProxyError {
  return new ProxyError(
    'unusable-answer',
    `The server's answer cannot be used: ${what}. The call may have run. ${advice}`,
    {
      sent: 'maybe',
      fact: `The server's answer cannot be used: ${what}`,
      details: detailsOf(status, headers, body),
    },
  );
}

/**
 * A request was answered 2xx with JSON that is no answer to it; `body` is what the server said
 * instead.
 */
export function invalidAnswer(what: string, status: number, headers: HttpHeaders, body: string): ProxyError {
  const words = messageIn({ body, errorType: '' });
  return unusableAnswer(`HTTP ${status} with ${what}${words ? `: ${words}` : ''}`, status, headers, body);
}

/** For what no MCP server says. */
const WRONG_PLACE = 'Check that the endpoint URL is that of an MCP server, and any gateway in front of it.';

/** A request was answered 2xx with something that carries no answer. */
export function missingAnswer(status: number, headers: HttpHeaders, bytes: Buffer): ProxyError {
  const type = mediaTypeOf(headers) || 'no content type';
  const what =
    bytes.length === 0 ? `HTTP ${status} with an empty body (${type})` : `HTTP ${status} with ${type}`;
  const words = messageIn({ body: decodeBody(bytes) ?? '', errorType: '' });
  const shown = words === '' || type.includes('json') ? what : `${what}: ${words}`;
  const advice = bytes.length === 0 ? undefined : WRONG_PLACE;
  return unusableAnswer(shown, status, headers, decodeBody(bytes) ?? '', advice);
}

function detailsOf(status: number, headers: HttpHeaders, body: string): Record<string, unknown> {
  const requestId = headerOf(headers, 'x-amzn-requestid') || headerOf(headers, 'x-amz-apigw-id');
  const challenge = headerOf(headers, 'www-authenticate');
  return {
    httpStatus: status,
    contentType: headerOf(headers, 'content-type') || undefined,
    requestId: requestId || undefined,
    errorType: errorTypeOf(headers, body) || undefined,
    wwwAuthenticate: challenge || undefined,
    body: body ? withoutRequestEchoes(body.slice(0, 4 * MAX_BODY_SHOWN)).slice(0, MAX_BODY_SHOWN) : undefined,
  };
}

/** Creates the error for a non-2xx answer without a JSON-RPC error. Pure. */
export function toStatusError(
  status: number,
  headers: HttpHeaders,
  bytes: Buffer,
  context: AnswerContext,
  now: number,
): ProxyError {
  const body = decodeBody(bytes) ?? '';
  const details = detailsOf(status, headers, body);
  const errorType = headerOf(headers, 'x-amzn-errortype');
  const meaning = meaningOf(errorTypeOf(headers, body));
  const unread = meaning === 'throttled' || meaning === 'conflict';
  const words = messageIn({ body, errorType });
  const said = words ? `: ${words}` : '';
  const { host } = context;
  if (status >= 300 && status < 400) return redirected(status, headers, host, details);
  const challenge = headerOf(headers, 'www-authenticate');
  const refusal = judgeRefusal({
    status,
    errorType,
    contentType: headerOf(headers, 'content-type'),
    body,
    challenge,
  });
  if (isRefusal(status, refusal)) {
    const text =
      context.authorizer?.explain({ status, challenge, ...refusal }, host) ??
      explainRefusal(refusal, { ...context, status });
    return new ProxyError('auth-rejected', text, {
      sent: 'refused',
      details: { ...details, verdict: refusal.kind },
    });
  }
  const retryAfterMs = retryAfterOf(headers, now);
  // A 4xx says that the server looked at the request and turned it away; behind a 5xx it may have
  // run, and behind a 408 too, which some gateways answer when it is the server that takes too
  // long.
  const coldStart = isColdStart(status, words);
  const inDoubt = mayHaveRunWith(status) || status < 300 || coldStart;
  const sent: Sent = inDoubt && !unread ? 'maybe' : 'refused';
  const fact = `HTTP ${status} from ${host}${said}`;
  const advice = meaning
    ? ADVICE_OF[meaning]
    : coldStart
      ? COLD_START
      : adviceFor(status, { words, headers, ...context });
  return new ProxyError('http-status', `${fact}${advice}`, {
    sent,
    fact,
    details,
    retryAfterMs,
  });
}

/**
 * True for a 401 that asks for an OAuth access token (RFC 9728). Its body may be a JSON-RPC error,
 * but its client cannot act on it: the credentials are the proxy's. Pure.
 */
export function wantsOAuth(status: number, headers: HttpHeaders, bytes: Buffer): boolean {
  if (status !== 401) return false;
  const refusal = judgeRefusal({
    status,
    errorType: headerOf(headers, 'x-amzn-errortype'),
    contentType: headerOf(headers, 'content-type'),
    body: decodeBody(bytes) ?? '',
    challenge: headerOf(headers, 'www-authenticate'),
  });
  return refusal.kind === 'oauth';
}

function redirected(
  status: number,
  headers: HttpHeaders,
  host: string,
  details: Record<string, unknown>,
): ProxyError {
  const location = headerOf(headers, 'location');
  // Nothing, read as a relative address, would name the host itself.
  const target =
    location !== '' && URL.canParse(location, `https://${host}`)
      ? new URL(location, `https://${host}`).host
      : '';
  return new ProxyError(
    'redirected',
    `HTTP ${status}: ${host} redirects${target ? ` to ${target}` : ''}, which is not followed, because signed requests go to the configured endpoint only. Check the endpoint URL.`,
    { sent: 'refused', details: { ...details, redirectsTo: target || undefined, body: undefined } },
  );
}

export function sessionLost(words: string, details: Record<string, unknown>): ProxyError {
  return new ProxyError(
    'session-lost',
    `The MCP session is gone: the server no longer knows it, and this call did not run. Reconnect the MCP server in your client to open a new one.${words ? ` The server said: ${words}` : ''}`,
    { sent: 'refused', details: words ? { ...details, serverMessage: words } : details },
  );
}

const QUOTA =
  '. A service quota of the AWS account is used up, so that another attempt fails too: free what counts towards it, or raise it in Service Quotas';

const ADVICE_OF: Readonly<Record<ErrorMeaning, string>> = {
  throttled: '. The server is throttling; the call did not run, try again later',
  conflict: '. Another request was using the same resource; the call did not run, try again',
  quota: QUOTA,
};

const COLD_START =
  '. This is a cold start: the runtime behind the server had not started in time; try again, and shorten what it does before it listens';

/**
 * True where the URL is that of an HTTP+SSE server (2024-11-05), which a client opens with GET: by
 * its usual path, or by what it allows.
 */
function takesGetOnly(status: number, { path, headers }: FailedResponse): boolean {
  if (status !== 404 && status !== 405) return false;
  const allowed = headerOf(headers, 'allow').toUpperCase();
  return (
    /\/sse\/?$/.test(path.split('?', 1)[0] ?? '') || (/\bGET\b/.test(allowed) && !/\bPOST\b/.test(allowed))
  );
}

interface FailedResponse {
  readonly host: string;
  readonly path: string;
  readonly words: string;
  readonly headers: HttpHeaders;
}

function adviceFor(status: number, response: FailedResponse): string {
  const { host, words } = response;
  if (takesGetOnly(status, response)) {
    return '. It looks like a server of the HTTP+SSE transport of 2024-11-05, which takes no POST at this URL: use --transport sse, or its Streamable HTTP endpoint, often the same URL with /mcp at its end';
  }
  switch (status) {
    case 402:
      return QUOTA;
    case 404:
      if (words.includes('ResourceNotFoundException')) {
        return '. The runtime, gateway or qualifier that the endpoint URL names does not exist there: check whether it was deleted, and its region and account';
      }
      return `. Check the path of the endpoint URL on ${host}`;
    case 405:
      return '. The URL takes no POST: check its path; a server of the HTTP+SSE transport of 2024-11-05 answers so too';
    case 408:
      return `. It took too long, the request to arrive or the server to answer; the call may have run, so check before you repeat it`;
    case 413:
      return `. The request is too large for the server or a firewall in front of it`;
    case 431:
      return `. The request's headers are too long for the server: since revision 2026-07-28 they repeat names and marked arguments`;
    case 429:
      return `. The server is throttling; the call did not run, try again later`;
    default:
      return status >= 500
        ? '. The server failed, or any gateway in front of it; the call may have run, so check before you repeat it'
        : '';
  }
}

/** A success is never this short and names an error type. */
const MAX_THROTTLED_BODY_BYTES = 4_096;

/**
 * True for a body without JSON-RPC that is an AWS error of a request that did not run, as some
 * front ends send with status 200.
 */
export function isThrottledBody(bytes: Buffer): boolean {
  if (bytes.length > MAX_THROTTLED_BODY_BYTES || !bytes.includes('"__type"')) return false;
  const body = decodeBody(bytes);
  return !/"jsonrpc"/.test(body ?? '') && isRejectedUnread(errorTypeOf({}, body));
}
