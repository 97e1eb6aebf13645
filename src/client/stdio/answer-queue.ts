import { ProxyError } from '../../core/errors/errors.ts';
import type { Response } from '../../core/jsonrpc/message.ts';
import { heapShare } from '../../core/system/heap-share.ts';
import type { ClientWriter } from './client-writer.ts';

/** Characters that are written ahead of the client; further answers wait until it has read them. */
const MAX_WRITTEN_CHARACTERS = heapShare(32 * 1024 * 1024);
/**
 * Characters of answers that the client has not read: one of the longest. More than a few can only
 * come from answers that the proxy gives itself, such as lists that it has kept.
 */
const MAX_UNREAD_CHARACTERS = heapShare(256 * 1024 * 1024);

/**
 * The answers to one client, in order. A kept list shares its text with the cache until it is
 * written, so answers wait unwritten while the client does not read.
 */
export class AnswerQueue {
  readonly #writer: ClientWriter;
  readonly #onWritten: () => void;
  #waiting = 0;
  #writing: Promise<unknown> = Promise.resolve();
  #stopped = false;

  /** @param onWritten - called when an answer that waited has been written. */
  constructor(writer: ClientWriter, onWritten: () => void) {
    this.#writer = writer;
    this.#onWritten = onWritten;
  }

  /** Answers that wait until the client has read earlier ones. */
  get waiting(): number {
    return this.#waiting;
  }

  write(answer: Response): void {
    if (this.#waiting === 0 && this.#writer.unread <= MAX_WRITTEN_CHARACTERS) {
      this.#writer.write(answer);
      return;
    }
    this.#waiting++;
    this.#writing = this.#writing
      .then(() => (this.#writer.unread > MAX_WRITTEN_CHARACTERS ? this.#writer.room() : undefined))
      .then(() => {
        this.#waiting--;
        if (!this.#stopped) this.#writer.write(answer);
        this.#onWritten();
      });
  }

  /** Call this when the client can no longer be reached: nothing more is written. */
  stop(): void {
    this.#stopped = true;
  }

  /** Why no further request is accepted: the client does not read its answers. */
  refusal(): ProxyError | undefined {
    const { unread } = this.#writer;
    if (unread <= MAX_UNREAD_CHARACTERS) return undefined;
    return new ProxyError(
      'too-many-waiting',
      `The client has not read ${unread} characters of earlier answers, more than the ${MAX_UNREAD_CHARACTERS} that are kept for it: this request was not sent. Read the answers, then send it again.`,
      { sent: 'no', retryAfterMs: 1_000, details: { unread, limit: MAX_UNREAD_CHARACTERS } },
    );
  }

  /**
   * Present while the client has read so little that not even refusals are kept for it: resolves
   * when it has room.
   */
  get overfull(): Promise<void> | undefined {
    const most = MAX_UNREAD_CHARACTERS + MAX_WRITTEN_CHARACTERS;
    return this.#writer.unread > most ? this.#writer.room() : undefined;
  }
}
