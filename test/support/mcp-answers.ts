import type { ServerResponse } from 'node:http';

/** A JSON-RPC message as a test builds or reads it. */
export type Rpc = Record<string, unknown>;

/** Ends the response with JSON, or with exactly the given text. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** An SSE answer under the script's control, down to the bytes. */
export class EventWriter {
  readonly response: ServerResponse;

  constructor(response: ServerResponse, status = 200) {
    this.response = response;
    if (!response.headersSent) {
      response.writeHead(status, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
      response.flushHeaders();
    }
  }

  /** One event that carries a message (or exactly the given text, which must hold no newline). */
  send(message: Rpc | string, eventId?: string): void {
    const data = typeof message === 'string' ? message : JSON.stringify(message);
    this.raw(`${eventId === undefined ? '' : `id: ${eventId}\n`}event: message\ndata: ${data}\n\n`);
  }

  /** An event without data, which tells the client from where to resume and how soon. */
  prime(eventId: string, retryMs?: number): void {
    this.raw(`id: ${eventId}\n${retryMs === undefined ? '' : `retry: ${retryMs}\n`}data:\n\n`);
  }

  raw(text: string | Buffer): void {
    if (!this.response.destroyed) this.response.write(text);
  }

  end(): void {
    this.response.end();
  }

  /** Cuts the connection in the middle of the stream. */
  destroy(): void {
    this.response.destroy();
  }
}
