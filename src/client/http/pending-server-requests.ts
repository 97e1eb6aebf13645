import { type Id, idKey } from '../../core/jsonrpc/message.ts';
import type { Deadline } from '../../core/pipeline/call.ts';

/**
 * Server requests to HTTP clients on streams that pass through. While one is open, the client's
 * calls must not time out. The response may come through another replica; then the next message on
 * the stream shows that it was given.
 */
export class PendingServerRequests {
  readonly #open = new Map<string, () => void>();

  /**
   * Holds the deadlines until the server request is answered.
   * @returns releases them; call it when the stream continues or ends.
   */
  add(client: string, id: Id, deadlines: readonly Deadline[]): () => void {
    const key = keyOf(client, id);
    const holds = deadlines.map((deadline) => deadline.hold());
    this.#open.get(key)?.();
    const release = (): void => {
      for (const free of holds) free();
      if (this.#open.get(key) === release) this.#open.delete(key);
    };
    this.#open.set(key, release);
    return release;
  }

  settle(client: string, id: Id): void {
    this.#open.get(keyOf(client, id))?.();
  }
}

const keyOf = (client: string, id: Id): string => JSON.stringify([client, idKey(id)]);
