import type { IncomingMessage } from 'node:http';

/**
 * For the bodies that are being read or carried, of all clients together: as much as one client on stdio may have under way, and one
 * of the longest that --max-body can allow.
 */
const MAX_HELD_BYTES = 256 * 1024 * 1024;

/** What the listener holds of its clients' bodies. */
export class HeldBodies {
  #bytes = 0;

  /** True where there was room. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > MAX_HELD_BYTES) return false;
    this.#bytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}

export type ReadBody = { readonly bytes: Buffer } | 'too-large' | 'no-room' | 'gone';

/**
 * Reads a request's body. `held` counts what it takes, and the caller gives that back; `taken` is told how much.
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  held: HeldBodies,
  taken: (bytes: number) => void,
): Promise<ReadBody> {
  return new Promise((resolve) => {
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
      else if (!held.take(chunk.length)) finish('no-room');
      else {
        taken(chunk.length);
        chunks.push(chunk);
      }
    };
    const whole = (): void => {
      const [first] = chunks;
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
