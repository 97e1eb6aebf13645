import type { Writable } from 'node:stream';
import type { Clock } from '../../core/time/clock.ts';

/** SDK clients signal their server after this time. */
const READER_STALLED_MS = 2_000;

/** Used where stdout has no known width. */
export const FALLBACK_COLUMNS = 80;

/**
 * The only writer of stdout: whole lines, in order. Lines of one turn of the event loop share a
 * system call.
 */
export class StdoutWriter {
  readonly #stream: Writable;
  #corked = false;
  #broken = false;
  #drained: Promise<void> | undefined;

  /** @param onBroken - called once, when no one reads stdout any more. */
  constructor(onBroken: (error: Error) => void, stream: Writable = process.stdout) {
    this.#stream = stream;
    const broken = (error: Error): void => {
      if (this.#broken) return;
      this.#broken = true;
      onBroken(error);
    };
    // Without a listener EPIPE would be an uncaught exception, and so would reporting it.
    stream.on('error', broken);
    stream.on('close', () => broken(new Error('stdout was closed')));
  }

  /**
   * Resolves when the reader has room for more.
   * @param line - in UTF-8, where already available: encoding 8 MB once more takes 9 ms.
   */
  line(line: string | Buffer): Promise<void> {
    if (this.#broken) return Promise.resolve();
    if (!this.#corked) {
      this.#corked = true;
      this.#stream.cork();
      setImmediate(() => {
        this.#corked = false;
        this.#stream.uncork();
      });
    }
    if (typeof line !== 'string') this.#stream.write(line);
    const room = this.#stream.write(typeof line === 'string' ? `${line}\n` : '\n');
    if (room) return Promise.resolve();
    this.#drained ??= new Promise<void>((resolve) => {
      const go = (): void => {
        this.#drained = undefined;
        this.#stream.off('drain', go);
        this.#stream.off('close', go);
        this.#stream.off('error', go);
        resolve();
      };
      this.#stream.on('drain', go);
      this.#stream.on('close', go);
      this.#stream.on('error', go);
    });
    return this.#drained;
  }

  /** True where stdout is a terminal. */
  get isTerminal(): boolean {
    return 'isTTY' in this.#stream && this.#stream.isTTY === true;
  }

  get columns(): number {
    const columns = 'columns' in this.#stream ? this.#stream.columns : undefined;
    return (typeof columns === 'number' && columns) || FALLBACK_COLUMNS;
  }

  /** Writes text as it is, for commands. */
  text(text: string): void {
    if (!this.#broken) this.#stream.write(text);
  }

  /**
   * Resolves when all output has been written: exiting earlier would cut the last line. A reader
   * that accepts nothing for a while must not keep the process alive.
   */
  flush(clock: Clock): Promise<void> {
    if (this.#broken) return Promise.resolve();
    return new Promise((resolve) => {
      let left = this.#stream.writableLength;
      const check = (): void => {
        const now = this.#stream.writableLength;
        if (now >= left) {
          resolve();
          return;
        }
        left = now;
        timer = clock.schedule(READER_STALLED_MS, check);
      };
      let timer = clock.schedule(READER_STALLED_MS, check);
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      this.#stream.once('error', done);
      this.#stream.once('close', done);
      this.#stream.write('', done);
    });
  }
}
