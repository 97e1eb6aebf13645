import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Clock, Timer } from '../../core/time/clock.ts';

/** How soon an edit counts. */
const CHECK_INTERVAL_MS = 1_000;

interface StampedFacts {
  isFile(): boolean;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mode: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

const stampOf = ({ ino, size, mode, mtimeNs, ctimeNs }: StampedFacts): string =>
  `${ino} ${size} ${mode} ${mtimeNs} ${ctimeNs}`;

const WRITABLE_BY_ALL = 0o002n;

/**
 * Why a file cannot be trusted or read; undefined where it can. Reading a FIFO or a device would
 * block. Its owner and group are not compared: containers mount files that belong to others.
 */
export function fileProblem(path: string, maxBytes: number): string | undefined {
  const facts = statSync(path, { bigint: true });
  if (!facts.isFile()) return 'it is not a regular file';
  if (process.getuid && (facts.mode & WRITABLE_BY_ALL) !== 0n) return 'every user can write to it';
  return facts.size > maxBytes ? `it is longer than ${maxBytes} bytes` : undefined;
}

/** The result of reading the files: their content, or why they cannot be used. */
export type FilesRead<T> = { readonly value: T } | { readonly problem: string };

export interface WatchedFilesOptions<T> {
  readonly paths: readonly string[];
  /** Reads and checks the files; must not throw. */
  readonly read: () => FilesRead<T>;
  readonly clock: Clock;
  /** Called once per reason why changed files are rejected; the last valid ones stay in use. */
  readonly onUnusable: (problem: string) => void;
}

/** The content of files that are read again when one of them changes. */
export class WatchedFiles<T> {
  readonly #options: WatchedFilesOptions<T>;
  #value: T;
  #stamps: string;
  #problem: string | undefined;
  #timer: Timer | undefined;
  #closed = false;
  #listeners: ((value: T) => void)[] = [];

  private constructor(options: WatchedFilesOptions<T>, value: T, stamps: string) {
    this.#options = options;
    this.#value = value;
    this.#stamps = stamps;
    this.#watch();
  }

  /** @throws Error where the files cannot be used. */
  static async open<T>(options: WatchedFilesOptions<T>): Promise<WatchedFiles<T>> {
    // Stat before reading: a change during the read is found next time.
    const stamps = await stampsOf(options.paths);
    const read = options.read();
    if ('problem' in read) throw new Error(read.problem);
    return new WatchedFiles(options, read.value, stamps);
  }

  /** The content of the last valid files. */
  get value(): T {
    return this.#value;
  }

  /** Registers a callback for valid changes. */
  onChange(listener: (value: T) => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #watch(): void {
    const { clock, paths } = this.#options;
    const check = async (): Promise<void> => {
      const stamps = await stampsOf(paths);
      if (this.#closed) return;
      if (stamps !== this.#stamps) this.#apply(stamps);
      this.#watch();
    };
    this.#timer = clock.schedule(CHECK_INTERVAL_MS, () => void check(), { keepAlive: false });
  }

  #apply(stamps: string): void {
    this.#stamps = stamps;
    const read = this.#options.read();
    if ('problem' in read) {
      if (read.problem !== this.#problem) this.#options.onUnusable(read.problem);
      this.#problem = read.problem;
      return;
    }
    this.#problem = undefined;
    this.#value = read.value;
    for (const listener of this.#listeners) listener(read.value);
  }
}

async function stampsOf(paths: readonly string[]): Promise<string> {
  const stamps = paths.map((path) =>
    stat(path, { bigint: true }).then(stampOf, (error: Error & { code?: string }) => String(error.code)),
  );
  return (await Promise.all(stamps)).join('\n');
}
