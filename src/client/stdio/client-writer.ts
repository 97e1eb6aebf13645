import { ProxyError } from '../../core/errors/errors.ts';
import {
  describeMessage,
  errorResponse,
  idText,
  type Message,
  type Request,
} from '../../core/jsonrpc/message.ts';
import { bytesOf, truncatedSizeOf } from '../../core/jsonrpc/parse.ts';
import type { Events } from '../../core/pipeline/events.ts';

/**
 * Writes one line to the client, in the order of the calls; resolves when the client has room for
 * more.
 */
export interface Send {
  (text: string): Promise<void>;
  /** Called for a long line whose UTF-8 is at hand. Absent: it is passed as text. */
  readonly bytes?: (line: Buffer) => Promise<void>;
}

export interface ClientWriterDeps {
  readonly events: Events;
  /** Bytes of one line, 0 = no limit. */
  readonly maxLineBytes: number;
  readonly send: Send;
}

/**
 * Above this, no further answer is read from the server. Answers that are being read come on top:
 * an answer for each connection.
 */
const MAX_UNREAD_CHARACTERS = 1024 * 1024;

/** Writes messages to the client. No line exceeds --max-line. */
export class ClientWriter {
  readonly #deps: ClientWriterDeps;
  #unread = 0;
  /** The last write; resolves when the client has room. */
  #written: Promise<void> = Promise.resolve();

  constructor(deps: ClientWriterDeps) {
    this.#deps = deps;
  }

  /**
   * Writes a message. An answer that is too long becomes an error; a notification that is too long
   * is dropped and reported.
   */
  write(message: Message): Promise<void> {
    const { events, send, maxLineBytes } = this.#deps;
    const size = this.#excessBytes(message);
    let line = message;
    if (size !== undefined) {
      if (message.kind !== 'response') {
        events.emit({ type: 'upstream.message-dropped', profile: '', reason: `a message of ${size} bytes` });
        return Promise.resolve();
      }
      const error = lineTooLong('The answer', size, maxLineBytes, true);
      line = errorResponse(error.toJsonRpc(), message.id === undefined ? undefined : idText(message));
    }
    if (events.detailed) events.emit({ type: 'message.sent', ...describeMessage(message) });
    const bytes = bytesOf(line);
    const { length } = bytes ?? line.text;
    this.#unread += length;
    const written = bytes && send.bytes ? send.bytes(bytes) : send(line.text);
    this.#written = written;
    void written.then(() => {
      this.#unread -= length;
    });
    return written;
  }

  /**
   * Characters, or bytes of long lines, that were written and that the client had no room for so
   * far.
   */
  get unread(): number {
    return this.#unread;
  }

  /** Resolves when the client has room for an answer; undefined where it has room now. */
  room(): Promise<void> | undefined {
    return this.#unread > MAX_UNREAD_CHARACTERS ? this.#written : undefined;
  }

  /**
   * Returns the error for a server request that is too long: unlike a notification, it needs an
   * answer.
   */
  sizeRefusal(request: Request): ProxyError | undefined {
    const size = this.#excessBytes(request);
    return size === undefined ? undefined : lineTooLong(request.method, size, this.#deps.maxLineBytes, false);
  }

  #excessBytes(message: Message): number | undefined {
    const { maxLineBytes } = this.#deps;
    const cut = truncatedSizeOf(message);
    if (cut !== undefined) return cut;
    const bytes = bytesOf(message);
    // A UTF-16 unit takes at most three bytes, so most lines need no count.
    if (maxLineBytes === 0 || (!bytes && message.text.length * 3 <= maxLineBytes)) return undefined;
    const size = bytes?.length ?? Buffer.byteLength(message.text);
    return size > maxLineBytes ? size : undefined;
  }
}

const lineTooLong = (what: string, size: number, limit: number, hasRun: boolean): ProxyError =>
  new ProxyError(
    'line-too-long',
    `${what} is ${size} bytes long, more than the ${limit} bytes that MCP clients take in one message (--max-line). ${hasRun ? 'Ask for less at once; the call itself has run.' : 'It was not passed on.'}`,
    { sent: hasRun ? 'maybe' : 'no', details: { bytes: size, limit } },
  );
