import { readFileSync, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

/**
 * A secret that callers of the listener present, and the name that logs and limits know them by.
 */
export interface ListenToken {
  readonly name: string;
  readonly secret: string;
}

/** Every request is compared with every token, so that their number is part of each call's time. */
const MAX_TOKENS = 256;
/** That many of the longest that a person writes. */
const MAX_FILE_BYTES = 256 * 1024;

/** Not "must be": the complaint would show the value, and that is a secret. */
export const secretProblem = (value: string): string | undefined =>
  /^[\x21-\x7e]{16,}$/.test(value)
    ? undefined
    : 'needs at least 16 characters, printable ASCII without blanks, as openssl rand -hex 24 gives';

export type TokensRead = { readonly tokens: readonly ListenToken[] } | { readonly problem: string };

/**
 * Reads `name=secret` lines; blank lines and lines that begin with # count for nothing. One name
 * may have several secrets, so that a caller can change from one to the next. No problem shows any
 * of the text. Pure.
 */
export function readTokens(text: string): TokensRead {
  const tokens: ListenToken[] = [];
  const names = new Map<string, string>();
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
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

interface FileFacts {
  isFile(): boolean;
  readonly size: bigint;
  readonly ino: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** A FIFO or a device would hold up who reads it. */
function fileProblem(facts: FileFacts): string | undefined {
  if (!facts.isFile()) return 'it is not a regular file';
  return facts.size > MAX_FILE_BYTES ? `it is longer than ${MAX_FILE_BYTES} bytes` : undefined;
}

const unreadable = (error: unknown): TokensRead => ({
  problem: error instanceof Error ? error.message : String(error),
});

/** At the start, where an unusable file ends the process. */
export function loadTokens(path: string): TokensRead {
  try {
    const problem = fileProblem(statSync(path, { bigint: true }));
    return problem ? { problem } : readTokens(readFileSync(path, 'utf8'));
  } catch (error) {
    return unreadable(error);
  }
}

/** A token file as it changes. */
export class TokenFile {
  readonly #path: string;
  #seen = '';

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Resolves to what the file holds now, to undefined where it is the same as when it was last
   * read. Never rejects.
   */
  async changed(): Promise<TokensRead | undefined> {
    try {
      const facts = await stat(this.#path, { bigint: true });
      // Of before the reading: what is written meanwhile is read the next time.
      const seen = `${facts.ino} ${facts.size} ${facts.mtimeNs} ${facts.ctimeNs}`;
      if (seen === this.#seen) return undefined;
      this.#seen = seen;
      const problem = fileProblem(facts);
      return problem ? { problem } : readTokens(await readFile(this.#path, 'utf8'));
    } catch (error) {
      this.#seen = '';
      return unreadable(error);
    }
  }
}
