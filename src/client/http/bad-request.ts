import { ProxyError } from '../../core/errors/errors.ts';
import { errorBody, type HttpRefusal } from './admission.ts';

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

/**
 * Returns the refusal for bytes that are not an HTTP request. Pure.
 * @param code - of the error of node's parser.
 */
export function unreadableRefusal(code: string | undefined, maxHeaderBytes: number): HttpRefusal {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return refusal(431, `its head is longer than ${maxHeaderBytes} bytes (--max-headers)`);
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return refusal(408, 'it took too long to arrive');
    default:
      return refusal(400, 'it is no HTTP');
  }
}

const refusal = (status: number, what: string): HttpRefusal => ({
  status,
  headers: { connection: 'close' },
  error: new ProxyError('invalid-request', `Invalid request: ${what}.`, { sent: 'no' }),
});

/** The whole response as text, for sockets that Node has no response object for. Pure. */
export function responseText({ status, headers, error }: HttpRefusal): string {
  const body = errorBody(error);
  const lines = Object.entries({ ...body.headers, ...headers }).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n${lines.join('\r\n')}\r\n\r\n${body.text}`;
}
