import type { Clock, Timer } from '../../core/time/clock.ts';

/** How soon an edit counts, such as a removed secret. */
const CHECK_INTERVAL_MS = 1_000;

/** Why the content of files cannot be used. */
export interface UnusableFile {
  readonly problem: string;
}

export interface FileWatchOptions<R extends object> {
  readonly clock: Clock;
  /** Reads the files where they have changed, else returns undefined. Never rejects. */
  readonly changed: () => Promise<R | UnusableFile | undefined>;
  readonly onRead: (read: R) => void;
  /** Called once per reason why changed files are rejected; the last valid content remains. */
  readonly onUnusable: (problem: string) => void;
}

/** Reads files again when they change. */
export class FileWatch<R extends object> {
  readonly #options: FileWatchOptions<R>;
  #problem: string | undefined;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: FileWatchOptions<R>) {
    this.#options = options;
  }

  start(): void {
    this.#timer = this.#options.clock.schedule(CHECK_INTERVAL_MS, () => void this.#check(), {
      keepAlive: false,
    });
  }

  async #check(): Promise<void> {
    const read = await this.#options.changed();
    if (this.#closed) return;
    if (read) this.#apply(read);
    this.start();
  }

  #apply(read: R | UnusableFile): void {
    if (isUnusable(read)) {
      if (read.problem !== this.#problem) this.#options.onUnusable(read.problem);
      this.#problem = read.problem;
      return;
    }
    this.#problem = undefined;
    this.#options.onRead(read);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }
}

const isUnusable = (read: object): read is UnusableFile => 'problem' in read;
