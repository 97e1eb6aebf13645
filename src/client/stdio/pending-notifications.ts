import type { Notification, Response } from '../../core/jsonrpc/message.ts';
import { heapShare } from '../../core/system/heap-share.ts';
import type { CallController } from '../../core/time/call-signal.ts';
import { TransientMap } from '../../core/time/transient-map.ts';

/**
 * The same bounds as for requests. Notifications cannot be refused, and if reading stopped,
 * responses and cancellations would be stuck. So further ones are dropped and logged.
 */
const MAX_PENDING = 65_536;
const MAX_PENDING_CHARACTERS = heapShare(256 * 1024 * 1024);

interface PendingNotification {
  readonly controller: CallController;
  readonly characters: number;
}

/** Notifications and responses of the client that the server has not accepted yet. */
export class PendingNotifications {
  readonly #pending = new TransientMap<number, PendingNotification>();
  #characters = 0;
  #ticket = 0;

  get size(): number {
    return this.#pending.size;
  }

  /** A copy, so that entries may be removed while it is iterated. */
  all(): CallController[] {
    return this.#pending.values().map(({ controller }) => controller);
  }

  /**
   * Adds a message. @returns a function to call, once or more, when it has arrived; undefined where
   * there is no room.
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
