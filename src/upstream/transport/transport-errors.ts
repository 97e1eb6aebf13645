import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { connectAdvice, plainCause } from '../http/connect-cause.ts';
import { MAX_RESPONSE_HEADER_BYTES, type TransportFailure } from '../http/connection.ts';

/** The error for a failure before the headers of the response. Pure. */
export function toTransportError(host: string, failure: TransportFailure): ProxyError {
  const cause = plainCause(causeText(failure.cause));
  if (failure.headersTooLong) return headersTooLong(host, failure);
  if (failure.sent === 'no') {
    return new ProxyError('connect-failed', `Cannot connect to ${host}: ${cause}.${connectAdvice(cause)}`, {
      sent: 'no',
      cause: failure,
    });
  }
  return connectionLost(host, cause, failure);
}

/** A session has the rights and data of the principal that opened it. */
export const foreignSession = (profile: string): ProxyError =>
  new ProxyError(
    'session-lost',
    `The MCP session belongs to the identity that ${profile === '' ? 'the credentials' : `the profile '${profile}'`} had before, so this call was not sent in it. Open a new session.`,
    // As for a server's refusal: a new session may accept it.
    { sent: 'refused' },
  );

function headersTooLong(host: string, cause: Error): ProxyError {
  const fact = `The answer of ${host} has headers of more than ${MAX_RESPONSE_HEADER_BYTES} bytes, which is the limit`;
  return new ProxyError(
    'unusable-answer',
    `${fact}. The call may have run. Make the server, or the proxy in front of it, send fewer or smaller headers.`,
    { sent: 'maybe', fact, details: { limit: MAX_RESPONSE_HEADER_BYTES }, cause },
  );
}

export function connectionLost(host: string, cause: string, error?: unknown): ProxyError {
  const fact = `The connection to ${host} broke before the answer was complete: ${cause}`;
  return new ProxyError('connection-lost', `${fact}. The call may have run; check before you repeat it.`, {
    sent: 'maybe',
    fact,
    ...(error === undefined ? {} : { cause: error }),
  });
}
