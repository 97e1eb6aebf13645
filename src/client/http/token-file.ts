import { promises as fs, readFileSync, statSync } from 'node:fs';
import { withoutByteOrderMark } from '../../core/jsonrpc/message.ts';
import { fileProblem, stampOf } from '../../core/system/file-facts.ts';
import type { UnusableFile } from './file-watch.ts';

/** A token of the listener and the name used in logs and limits. */
export interface ListenToken {
  readonly name: string;
  readonly secret: string;
}

/** Each request is compared with all tokens, so their number affects latency. */
const MAX_TOKENS = 256;
/** Room for MAX_TOKENS long lines. */
const MAX_FILE_BYTES = 256 * 1024;

/** Not "must be": that form of message would show the value, which is secret. */
export const secretProblem = (value: string): string | undefined =>
  /^[\x21-\x7e]{16,}$/.test(value)
    ? undefined
    : 'needs at least 16 characters, printable ASCII without blanks, as openssl rand -hex 24 gives';

export interface ListenTokens {
  readonly tokens: readonly ListenToken[];
}

export type TokensRead = ListenTokens | UnusableFile;

/**
 * Reads `name=secret` lines; blank lines and lines starting with # are ignored. A name may have
 * several secrets, for rotation. No problem text shows a part of the file. Pure.
 */
export function readTokens(text: string): TokensRead {
  const tokens: ListenToken[] = [];
  const names = new Map<string, string>();
  for (const [index, raw] of withoutByteOrderMark(text).split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const at = line.indexOf('=');
    const name = line.slice(0, Math.max(at, 0)).trim();
    const secret = line.slice(at + 1).trim();
    const where = `line ${index + 1}`;
    if (!/^[\w.@-]{1,64}$/.test(name)) {
      return {
        problem: `${where} must be name=secret, the name of up to 64 letters, digits and the characters ._@-`,
      };
    }
    const problem = secretProblem(secret);
    if (problem) return { problem: `${where}: the secret ${problem}` };
    if ((names.get(secret) ?? name) !== name)
      return { problem: `${where} repeats the secret of another name` };
    names.set(secret, name);
    tokens.push({ name, secret });
    if (tokens.length > MAX_TOKENS) return { problem: `it has more than ${MAX_TOKENS} tokens` };
  }
  return tokens.length === 0 ? { problem: 'it has no name=secret line' } : { tokens };
}

const unreadable = (error: unknown): TokensRead => ({
  problem: error instanceof Error ? error.message : String(error),
});

/** Reads the file at startup, where an unusable one ends the process. */
export function loadTokens(path: string): TokensRead {
  try {
    const problem = fileProblem(statSync(path, { bigint: true }), MAX_FILE_BYTES);
    return problem ? { problem } : readTokens(readFileSync(path, 'utf8'));
  } catch (error) {
    return unreadable(error);
  }
}

/** A token file that is re-read when it changes. */
export class TokenFile {
  readonly #path: string;
  #seen = '';

  constructor(path: string) {
    this.#path = path;
  }

  /** Returns the file's tokens where it has changed, else undefined. Never rejects. */
  async changed(): Promise<TokensRead | undefined> {
    try {
      const facts = await fs.stat(this.#path, { bigint: true });
      // Stat before reading: a change during the read is found next time.
      const seen = stampOf(facts);
      if (seen === this.#seen) return undefined;
      this.#seen = seen;
      const problem = fileProblem(facts, MAX_FILE_BYTES);
      return problem ? { problem } : readTokens(await fs.readFile(this.#path, 'utf8'));
    } catch (error) {
      this.#seen = '';
      return unreadable(error);
    }
  }
}
