import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock, Timer } from '../../core/time/clock.ts';
import { type ListenToken, TokenFile, type TokensRead } from './token-file.ts';

/**
 * How soon a changed file counts: a secret that was taken out should not open anything for longer.
 */
const FILE_CHECK_INTERVAL_MS = 1_000;

export interface TokensOptions {
  /** Given on the command line: they hold until the process ends. */
  readonly fixed: readonly ListenToken[];
  readonly file: string | undefined;
  readonly clock: Clock;
  /** Called with every set of tokens before it is used, so that no log shows their secrets. */
  readonly onTokens: (tokens: readonly ListenToken[]) => void;
  /** Called once for each reason why a changed file is not used; the last valid one is. */
  readonly onUnusable: (message: string) => void;
}

interface KnownToken {
  readonly name: string;
  readonly digest: Buffer;
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** The secret in `Authorization: Bearer`; empty where there is none, which no token is. */
const readBearer = (authorization: string | undefined): string =>
  /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? '';

/** The tokens that open the listener, as they are now. */
export class Tokens {
  readonly #options: TokensOptions;
  readonly #file: TokenFile | undefined;
  #known: readonly KnownToken[] = [];
  #problem: string | undefined;
  #timer: Timer | undefined;
  #closed = false;
  #listener: () => void = () => undefined;

  constructor(options: TokensOptions) {
    this.#options = options;
    this.#file = options.file === undefined ? undefined : new TokenFile(options.file);
    this.#use(options.fixed);
  }

  /** False: every caller that passes the other checks is let in. */
  get required(): boolean {
    return this.#known.length > 0 || this.#file !== undefined;
  }

  /**
   * Reads the file for the first time, and from then on whenever it has changed.
   * @throws Error where it cannot be used.
   */
  async open(): Promise<void> {
    const read = await this.#file?.changed();
    if (read && 'problem' in read) throw new Error(`the file of --listen-token-file: ${read.problem}`);
    if (read) this.#use([...this.#options.fixed, ...read.tokens]);
    if (this.#file) this.#watch(this.#file);
  }

  #watch(file: TokenFile): void {
    const { clock } = this.#options;
    const check = async (): Promise<void> => {
      const read = await file.changed();
      if (this.#closed) return;
      if (read) this.#applyFile(read);
      this.#watch(file);
    };
    this.#timer = clock.schedule(FILE_CHECK_INTERVAL_MS, () => void check(), { keepAlive: false });
  }

  #applyFile(read: TokensRead): void {
    if ('problem' in read) {
      if (read.problem !== this.#problem) this.#options.onUnusable(read.problem);
      this.#problem = read.problem;
      return;
    }
    this.#problem = undefined;
    this.#use([...this.#options.fixed, ...read.tokens]);
    this.#listener();
  }

  #use(tokens: readonly ListenToken[]): void {
    this.#options.onTokens(tokens);
    this.#known = tokens.map(({ name, secret }) => ({ name, digest: digest(secret) }));
  }

  /** `listener` is called when other tokens than before are valid. */
  onChange(listener: () => void): void {
    this.#listener = listener;
  }

  /**
   * The name of the token that a caller presents, or undefined. Compared by digests and with every
   * token, so that the time depends neither on where two differ, nor on how long they are, nor on
   * which one matches.
   */
  nameOf(authorization: string | undefined): string | undefined {
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
    this.#closed = true;
    this.#timer?.cancel();
  }
}
