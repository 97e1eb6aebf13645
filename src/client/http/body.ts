import type { IncomingMessage } from 'node:http';
import type { BodyOwner, HeldBodies, HeldBody } from './held-bodies.ts';

export type ReadBody = { readonly bytes: Buffer } | 'too-large' | 'no-room' | 'gone';

/**
 * Reads a request's body.
 * @param opened - called with the memory that it takes, which the caller gives back.
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  { held, owner }: { readonly held: HeldBodies; readonly owner: BodyOwner },
  opened: (body: HeldBody) => void,
): Promise<ReadBody> {
  return new Promise((resolve) => {
    const body = held.open(owner, () => finish('no-room'));
    opened(body);
    let chunks: Buffer[] = [];
    let length = 0;
    const finish = (outcome: ReadBody): void => {
      chunks = [];
      // The request lives on until its answer has left, and what listens would with it.
      request.off('data', take);
      request.off('end', whole);
      request.off('close', gone);
      request.off('error', gone);
      resolve(outcome);
    };
    const take = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > limit) finish('too-large');
      else if (!body.take(chunk.length)) finish('no-room');
      else chunks.push(chunk);
    };
    const whole = (): void => {
      const [first] = chunks;
      body.complete();
      finish({ bytes: first && chunks.length === 1 ? first : Buffer.concat(chunks, length) });
    };
    const gone = (): void => finish('gone');
    request.on('data', take);
    request.on('end', whole);
    request.on('close', gone);
    request.on('error', gone);
  });
}

/** Reads on and forgets, so that a client that still sends gets to read why it need not. */
export function discard(request: IncomingMessage, atMost: number): void {
  let left = atMost;
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) request.socket.destroy();
  });
  request.on('error', () => undefined);
  request.resume();
}
