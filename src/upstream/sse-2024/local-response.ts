import type { Connection } from '../http/connection.ts';
import { type HttpHeaders, Incoming } from '../http/incoming.ts';
import { Lease } from '../http/lease.ts';

const NO_FLOW = { pause: () => undefined, resume: () => undefined };
const NOT_A_POOL = {
  giveBack: () => undefined,
  leave: () => undefined,
  slow: () => undefined,
  over: () => undefined,
  another: () => undefined,
  renew: () => undefined,
};

/** A lease that is over: the response that it belongs to has no connection of its own. */
export function overLease(): Lease {
  const lease = new Lease({} as Connection, NOT_A_POOL);
  lease.cancel(new Error('no connection'));
  return lease;
}

/** A complete response that the proxy itself gives in place of a Streamable HTTP server. */
export function localResponse(status: number, json?: unknown, headers: HttpHeaders = {}): Incoming {
  const response = new Incoming(
    status,
    json === undefined ? headers : { ...headers, 'content-type': 'application/json' },
    NO_FLOW,
  );
  if (json !== undefined) response.push(Buffer.from(JSON.stringify(json)));
  response.end();
  return response;
}

/** An error response for the request with this id. */
export const localError = (status: number, id: unknown, code: number, message: string): Incoming =>
  localResponse(status, { jsonrpc: '2.0', id: id ?? null, error: { code, message } });

/** The text of a message as one event. */
export function eventOf(data: Buffer): Buffer {
  const text = data.includes(10) ? data.toString('utf8').replaceAll('\n', '\ndata: ') : data;
  return Buffer.concat([Buffer.from('data: '), Buffer.from(text as Buffer), Buffer.from('\n\n')]);
}
