import type { IncomingMessage } from 'node:http';
import { ProxyError } from '../../core/errors/errors.ts';
import type { HttpRefusal } from './admission.ts';
import type { ReadBody } from './body.ts';

/** A body that a framework has read, as its bytes or its text. */
export type GivenBody = Uint8Array | string;

/** Frameworks pass other things as a third argument, such as Express its `next`. */
export const givenBodyOf = (value: unknown): Buffer | undefined => {
  if (typeof value === 'string') return Buffer.from(value);
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length) : undefined;
};

/** The body as `readBody` returns it. */
export const boundedBody = (bytes: Buffer, limit: number): ReadBody =>
  bytes.length > limit ? 'too-large' : { bytes };

/**
 * Refuses a request whose body another function has begun to read: it would be awaited for ever,
 * and serializing what was parsed would alter numbers and the order of keys.
 */
export function bodyReadRefusal({
  method,
  readableDidRead,
  readableEncoding,
}: IncomingMessage): HttpRefusal | undefined {
  if (method !== 'POST' || (!readableDidRead && readableEncoding === null)) return undefined;
  const message =
    'The body was read before the MCP handler: mount the handler before middleware that reads bodies, such as express.json(), or pass the raw body as third argument. It was not sent.';
  return { status: 500, headers: {}, error: new ProxyError('internal', message, { sent: 'no' }) };
}
