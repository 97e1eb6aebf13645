import type { IncomingMessage } from 'node:http';
import type { BodyOwner, HeldBodies, HeldBody } from './held-bodies.ts';

export type ReadBody = { readonly bytes: Buffer } | 'too-large' | 'no-room' | 'gone';

interface BodyMemory {
  readonly held: HeldBodies;
  readonly owner: BodyOwner;
}

/**
 * Takes a short body that came together with its head, as most do: no listeners, no reservation,
 * no promise. To be called in the next turn of the event loop, when node has parsed all bytes that
 * came with the head.
 * @returns undefined where the body is longer or has not arrived.
 */
export function takeWhole(request: IncomingMessage, atMost: number): Buffer | undefined {
  const isWhole = request.complete && !request.destroyed && request.readableLength <= atMost;
  return isWhole ? (request.read() ?? NO_BYTES) : undefined;
}

const NO_BYTES = Buffer.alloc(0);

/**
 * Reads a request's body.
 * @param onReserved - receives the memory reservation, which the caller must release.
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  { held, owner }: BodyMemory,
  onReserved: (body: HeldBody) => void,
): Promise<ReadBody> {
  return new Promise((resolve) => {
    // Its client has gone while it was awaited: no event is left.
    if (request.destroyed) {
      resolve('gone');
      return;
    }
    const body = held.open(owner, () => finish('no-room'));
    onReserved(body);
    let chunks: Buffer[] = [];
    let length = 0;
    const finish = (outcome: ReadBody): void => {
      chunks = [];
      // The request outlives this promise, so its listeners are removed.
      request.off('data', onData);
      request.off('end', onEnd);
      request.off('close', onClose);
      request.off('error', onClose);
      resolve(outcome);
    };
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > limit) finish('too-large');
      else if (!body.reserve(chunk.length)) finish('no-room');
      else chunks.push(chunk);
    };
    const onEnd = (): void => {
      const [first] = chunks;
      body.complete();
      finish({ bytes: first && chunks.length === 1 ? first : Buffer.concat(chunks, length) });
    };
    const onClose = (): void => finish('gone');
    request.on('data', onData);
    request.on('end', onEnd);
    request.on('close', onClose);
    request.on('error', onClose);
  });
}

/** Bytes of an oversized body that are read, so that its sender can read the response. */
const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;

/** Discards the rest of the body, so that a client that is still sending can read the response. */
export function discard(request: IncomingMessage): void {
  request.resume();
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  // The listeners of a stream without a body would live as long as it.
  if (length === undefined && encoding === undefined) return;
  let left = MAX_DISCARDED_BYTES;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.socket.destroy();
  });
  request.on('error', () => undefined);
}
