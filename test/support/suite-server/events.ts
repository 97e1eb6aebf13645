import type { EventId, EventStore, JSONRPCMessage, StreamId } from '@modelcontextprotocol/server';

/** Keeps what a session's streams have sent, so that a client may come back for the rest. */
export class RememberedEvents implements EventStore {
  readonly #events: { readonly stream: StreamId; readonly message: JSONRPCMessage }[] = [];

  async storeEvent(stream: StreamId, message: JSONRPCMessage): Promise<EventId> {
    this.#events.push({ stream, message });
    return String(this.#events.length - 1);
  }

  async getStreamIdForEventId(id: EventId): Promise<StreamId | undefined> {
    return this.#events[Number(id)]?.stream;
  }

  async replayEventsAfter(
    last: EventId,
    { send }: { send: (id: EventId, message: JSONRPCMessage) => Promise<void> },
  ): Promise<StreamId> {
    const stream = this.#events[Number(last)]?.stream;
    if (stream === undefined) throw new Error(`no event ${last}`);
    for (const [at, event] of this.#events.entries()) {
      // An event without a message only gives the client a place to come back to.
      if (at > Number(last) && event.stream === stream && Object.keys(event.message).length > 0)
        await send(String(at), event.message);
    }
    return stream;
  }
}
