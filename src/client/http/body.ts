import type { IncomingMessage } from 'node:http';
import type { BodyOwner, HeldBodies, HeldBody } from './held-bodies.ts';

export type ReadBody = { readonly bytes: Buffer } | 'too-large' | 'no-room' | 'gone';

/**
 * Takes a short body that has arrived together with its head, as most do: no listener, and no
 * reservation. To be called in a later turn than the request's event.
 * @returns undefined where the body must be read.
 */
export function takeWholeBody(request: IncomingMessage, atMost: number): Buffer | undefined {
  if (!request.complete || request.destroyed || request.readableLength > atMost) return undefined;
  return request.read() ?? NO_BYTES;
}

const NO_BYTES = Buffer.alloc(0);

/**
 * Reads a request's body.
 * @param onReserved - receives the memory reservation, which the caller must release.
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  { held, owner }: { readonly held: HeldBodies; readonly owner: BodyOwner },
  onReserved: (body: HeldBody) => void,
): Promise<ReadBody> {
  return new Promise((resolve) => {
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

/** Discards the rest of the body, so that a client that is still sending can read the response. */
export function discard(request: IncomingMessage, atMost: number): void {
  let left = atMost;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.socket.destroy();
  });
  request.on('error', () => undefined);
  request.resume();
}
