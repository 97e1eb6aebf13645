import type { Notification, Response } from '../../core/jsonrpc/message.ts';
import type { CallController } from '../../core/time/call-signal.ts';
import { TransientMap } from '../../core/time/transient-map.ts';

/**
 * As many as of requests, and for the same reason: a client in a loop, before a server that accepts
 * nothing, must not fill memory. Nobody waits for an answer to them that could be a refusal, and to
 * stop reading would keep back the answers and cancellations that free the server. So what is more
 * is dropped, and the log says so.
 */
const MAX_PENDING = 65_536;
const MAX_PENDING_CHARACTERS = 256 * 1024 * 1024;

interface PendingNotification {
  readonly controller: CallController;
  readonly characters: number;
}

/** Notifications and responses of the client that are on their way to the server. */
export class PendingNotifications {
  readonly #pending = new TransientMap<number, PendingNotification>();
  #characters = 0;
  #ticket = 0;

  get size(): number {
    return this.#pending.size;
  }

  /** As they are now: what runs while they are walked may end some. */
  all(): CallController[] {
    return this.#pending.values().map(({ controller }) => controller);
  }

  /**
   * Takes one more; undefined where there is no room, else what is to be called, once or more, when
   * it has arrived.
   */
  add(controller: CallController, { text }: Notification | Response): (() => void) | undefined {
    const characters = text.length;
    if (this.size >= MAX_PENDING || this.#characters + characters > MAX_PENDING_CHARACTERS) return undefined;
    const ticket = this.#ticket++;
    this.#pending.set(ticket, { controller, characters });
    this.#characters += characters;
    return () => {
      if (this.#pending.delete(ticket)) this.#characters -= characters;
    };
  }
}
