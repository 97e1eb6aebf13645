import { stat } from 'node:fs/promises';
import { stampOf } from '../../core/system/file-facts.ts';
import type { Clock } from '../../core/time/clock.ts';
import { FileWatch, type UnusableFile } from './file-watch.ts';

/** The result of reading the files: their content, or why they cannot be used. */
export type FilesRead<T> = { readonly value: T } | UnusableFile;

export interface WatchedFilesOptions<T> {
  readonly paths: readonly string[];
  /** Reads and checks the files; must not throw. */
  readonly read: () => FilesRead<T>;
  readonly clock: Clock;
  /** Called once per reason why changed files are rejected; the last valid ones stay in use. */
  readonly onUnusable: (problem: string) => void;
}

/** The content of files that are read together, and again when one of them changes. */
export class WatchedFiles<T> {
  readonly #options: WatchedFilesOptions<T>;
  readonly #watch: FileWatch<{ readonly value: T }>;
  #value: T;
  #stamps: string;
  #listeners: ((value: T) => void)[] = [];

  private constructor(options: WatchedFilesOptions<T>, value: T, stamps: string) {
    const { clock, onUnusable } = options;
    this.#options = options;
    this.#value = value;
    this.#stamps = stamps;
    this.#watch = new FileWatch({
      clock,
      changed: () => this.#changed(),
      onRead: (read) => this.#use(read.value),
      onUnusable,
    });
    this.#watch.start();
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
    this.#watch.close();
  }

  async #changed(): Promise<FilesRead<T> | undefined> {
    const stamps = await stampsOf(this.#options.paths);
    if (stamps === this.#stamps) return undefined;
    this.#stamps = stamps;
    return this.#options.read();
  }

  #use(value: T): void {
    this.#value = value;
    for (const listener of this.#listeners) listener(value);
  }
}

async function stampsOf(paths: readonly string[]): Promise<string> {
  const stamps = paths.map((path) =>
    stat(path, { bigint: true }).then(stampOf, (error: Error & { code?: string }) => String(error.code)),
  );
  return (await Promise.all(stamps)).join('\n');
}
