import { isTemporary, statusClassOf } from '../../core/errors/status-class.ts';
import type { HttpFacts, Reply } from '../../core/pipeline/call.ts';
import { errorTypeOf, isColdStart, meaningOf } from '../../core/pipeline/error-type.ts';
import { isRefusal, judgeRefusal } from '../../endpoint/aws-errors.ts';
import { ERROR_BODY, headerOf } from '../http/incoming.ts';
import { decodeBody, wantsOAuth, writtenError } from '../transport/answer.ts';
import type { OpenedExchange } from '../transport/signed-transport.ts';
import { type ForwardedExchange, unencoded } from './forwarded-exchange.ts';
import type { SessionRecords } from './session-records.ts';

/**
 * Handles a non-2xx response. A JSON-RPC error is returned as a message for the layers to judge. A
 * bare failure status, or a refusal of the proxy's signature, becomes an error of the proxy. All
 * else passes through.
 * @throws ProxyError
 */
export async function handleFailure(
  exchange: ForwardedExchange,
  opened: OpenedExchange,
  sessions: SessionRecords,
): Promise<Reply> {
  const { response } = opened;
  const { pass, message } = exchange;
  const bytes = await exchange.withSilenceLimit(response, () => response.readAll(ERROR_BODY));
  const { status, headers } = response;
  const http = unencoded(response);
  const written = writtenError(bytes);
  const lost = exchange.findLostSession(response, bytes);
  if (lost) sessions.dropAffinity(exchange.sessionId);
  if (written && (lost || !wantsOAuth(status, headers, bytes)))
    return { kind: 'answer', message: written, http: lost ? { ...http, status: 404 } : http };
  // The server's own 404 passes through.
  if (lost && !(pass && status === 404)) throw lost;
  const final =
    pass && !(message && isTransient(status, headers, bytes)) && !isProxyFault(status, headers, bytes);
  const sink = final ? pass(http) : undefined;
  if (!sink) throw exchange.statusError(opened, bytes);
  await sink.write(bytes);
  return { kind: 'passed', http };
}

/**
 * True where a retry may help or the proxy can explain more than the body: the retry layer decides.
 */
function isTransient(status: number, headers: HttpFacts['headers'], bytes: Buffer): boolean {
  // An unspecified 5xx passes as it is: the retry layer does not retry it.
  if (isTemporary(status) && statusClassOf(status) !== 'unspecified') return true;
  const body = decodeBody(bytes) ?? '';
  return status === 402 || isColdStart(status, body) || meaningOf(errorTypeOf(headers, body)) !== undefined;
}

/**
 * True for responses that the client cannot act on: redirections, and refusals of the proxy's
 * credentials.
 */
function isProxyFault(status: number, headers: HttpFacts['headers'], bytes: Buffer): boolean {
  if (status < 400) return true;
  const refusal = judgeRefusal({
    status,
    errorType: headerOf(headers, 'x-amzn-errortype'),
    contentType: headerOf(headers, 'content-type'),
    body: decodeBody(bytes) ?? '',
  });
  return isRefusal(status, refusal);
}
