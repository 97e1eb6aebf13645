const MAX_EARLY_MESSAGES = 64;
const MAX_EARLY_BYTES = 256 * 1024;

/** Events of messages that the server sends before the client has opened a stream for them. */
export class EarlyMessages {
  #events: Buffer[] = [];
  #bytes = 0;

  /** @returns false for an event that finds no room. */
  keep(event: Buffer): boolean {
    if (this.#events.length >= MAX_EARLY_MESSAGES || this.#bytes + event.length > MAX_EARLY_BYTES)
      return false;
    this.#events.push(event);
    this.#bytes += event.length;
    return true;
  }

  takeAll(): readonly Buffer[] {
    const events = this.#events;
    this.#events = [];
    this.#bytes = 0;
    return events;
  }
}
