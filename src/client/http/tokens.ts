import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../core/time/clock.ts';
import { readBearer } from './bearer.ts';
import { FileWatch } from './file-watch.ts';
import { type ListenToken, type ListenTokens, TokenFile } from './token-file.ts';

export interface TokensOptions {
  /** Tokens of --listen-token; valid until the process ends. */
  readonly fixed: readonly ListenToken[];
  readonly file: string | undefined;
  readonly clock: Clock;
  /** Called with the tokens before they are used, so that logs can redact them. */
  readonly onTokens: (tokens: readonly ListenToken[]) => void;
  /** Called once per reason why a changed file is rejected; the last valid tokens remain. */
  readonly onUnusable: (message: string) => void;
}

interface KnownToken {
  readonly name: string;
  readonly digest: Buffer;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** The currently valid tokens of the listener. */
export class Tokens {
  readonly #options: TokensOptions;
  readonly #file: TokenFile | undefined;
  #known: readonly KnownToken[] = [];
  #watch: FileWatch<ListenTokens> | undefined;
  #listener: () => void = () => undefined;

  constructor(options: TokensOptions) {
    this.#options = options;
    this.#file = options.file === undefined ? undefined : new TokenFile(options.file);
    this.#use(options.fixed);
  }

  /** False where no token is configured, so that none is required. */
  get required(): boolean {
    return this.#known.length > 0 || this.#file !== undefined;
  }

  /** True where clients present different tokens. */
  get several(): boolean {
    return new Set(this.#known.map(({ name }) => name)).size > 1;
  }

  /**
   * Reads the file, and again whenever it changes.
   * @throws Error where it cannot be used.
   */
  async open(): Promise<void> {
    const file = this.#file;
    if (!file) return;
    const read = await file.changed();
    if (read && 'problem' in read) throw new Error(`the file of --listen-token-file: ${read.problem}`);
    if (read) this.#use([...this.#options.fixed, ...read.tokens]);
    const { clock, fixed, onUnusable } = this.#options;
    this.#watch = new FileWatch({
      clock,
      changed: () => file.changed(),
      onRead: ({ tokens }) => {
        this.#use([...fixed, ...tokens]);
        this.#listener();
      },
      onUnusable,
    });
    this.#watch.start();
  }

  #use(tokens: readonly ListenToken[]): void {
    this.#options.onTokens(tokens);
    this.#known = tokens.map(({ name, secret }) => ({ name, digest: digest(secret) }));
  }

  /** Registers a callback for changes of the valid tokens. */
  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  /**
   * Returns the name of the presented token, or undefined. Compares digests, and always all of
   * them, so that timing reveals nothing about the tokens.
   */
  nameOf(authorization: string | undefined): string | undefined {
    // A request without a token counts as one with an empty token, which equals no known token.
    const given = digest(readBearer(authorization));
    let found: string | undefined;
    for (const { name, digest } of this.#known) if (timingSafeEqual(given, digest)) found = name;
    return found;
  }

  /** Whether a token of this name is valid. */
  has(name: string): boolean {
    return this.#known.some((known) => known.name === name);
  }

  close(): void {
    this.#watch?.close();
  }
}
