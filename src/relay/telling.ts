import type { CallController } from '../core/call-signal.ts';
import type { Notification, Response } from '../core/message.ts';

/**
 * As many as of requests, and for the same reason: a client in a loop, before a server that accepts nothing, must not fill memory.
 * Nobody waits for an answer to them that could be a refusal, and to stop reading would keep back the answers and cancellations
 * that free the server. So what is more is dropped, and the log says so.
 */
const MAX_TELLING = 65_536;
const MAX_TELLING_CHARACTERS = 256 * 1024 * 1024;

/** Notifications and responses of the client that are on their way to the server. */
export class Telling {
  readonly #controllers = new Map<CallController, number>();
  #characters = 0;

  get size(): number {
    return this.#controllers.size;
  }

  /** As they are now: what runs while they are walked may end some. */
  all(): CallController[] {
    return [...this.#controllers.keys()];
  }

  /** Takes one more; false where there is no room. */
  add(controller: CallController, { text }: Notification | Response): boolean {
    if (this.size >= MAX_TELLING || this.#characters + text.length > MAX_TELLING_CHARACTERS) return false;
    this.#controllers.set(controller, text.length);
    this.#characters += text.length;
    return true;
  }

  remove(controller: CallController): void {
    this.#characters -= this.#controllers.get(controller) ?? 0;
    this.#controllers.delete(controller);
  }
}
