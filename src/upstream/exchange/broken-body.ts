import { causeText, type ProxyError } from '../../core/errors/errors.ts';
import { headerOf, type Incoming } from '../http/incoming.ts';
import { unusableAnswer } from '../transport/answer.ts';
import { connectionLost } from '../transport/transport-errors.ts';

/** Turns body errors of undici and zlib into a ProxyError. Pure. */
export function toBodyError(error: unknown, { status, headers }: Incoming, host: string): ProxyError {
  const encoding = headerOf(headers, 'content-encoding');
  if (encoding && isDecodingFault(error)) {
    return unusableAnswer(`HTTP ${status} with a broken ${encoding} body`, status, headers, '');
  }
  return connectionLost(host, causeText(error), error);
}

/**
 * Compares codes: messages such as "Decompression failed" and "unexpected end of file" are
 * ambiguous.
 */
const isDecodingFault = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  /^(Z_|ERR__ERROR_|ERR_BROTLI|ERR_ZLIB|ERR_BUFFER_TOO_LARGE)/.test(String(error.code));
