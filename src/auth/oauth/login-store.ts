import { createHash, randomUUID } from 'node:crypto';
import { closeSync, constants, fstatSync, readFileSync, statSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { causeText } from '../../core/errors/errors.ts';
import { createFolder } from '../../core/system/create-folder.ts';
import { folderProblem, openTrusted } from '../../core/system/trusted-file.ts';
import type { Clock } from '../../core/time/clock.ts';
import { withFileLock } from './file-lock.ts';
import { type Keychain, openKeychain } from './keychain.ts';
import { type LoginRecord, readLoginRecord } from './login-record.ts';

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const READABLE_BY_OTHERS = 0o077;
/** Room for four tokens of 100 kB, which exist, and as much again. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Where tokens are stored. `auto`: in the keychain if there is one, else in a file. */
export type StoreKind = 'auto' | 'keychain' | 'file';

/** The key of a login. */
export interface LoginIdentity {
  readonly endpoint: URL;
  readonly clientId: string | undefined;
  readonly issuer: string | undefined;
  /** The name of a profile that the user gave; "" for the only login of an endpoint. */
  readonly profile: string;
}

export interface LoginStoreOptions {
  readonly folder: string;
  readonly identity: LoginIdentity;
  readonly kind: StoreKind;
  readonly clock: Clock;
  /** Replaced in tests. */
  readonly keychain?: () => Promise<Keychain | undefined>;
}

/** The stored form: with a keychain, the file has everything but the secrets. */
type StoredFile = LoginRecord & { readonly format: 1; readonly secretsIn?: 'keychain' };

/** The login of one endpoint, shared by all processes of the user. */
export class LoginStore {
  readonly #options: LoginStoreOptions;
  readonly #account: string;
  /** The path of the file, for messages. */
  readonly path: string;
  #keychain: Promise<Keychain | undefined> | undefined;

  constructor(options: LoginStoreOptions) {
    this.#options = options;
    const { endpoint, clientId, issuer, profile } = options.identity;
    const identity = [endpoint.origin, endpoint.pathname, endpoint.search, clientId, issuer, profile];
    this.#account = createHash('sha256').update(JSON.stringify(identity)).digest('hex');
    this.path = join(options.folder, `${this.#account}.json`);
  }

  /** Changes when any process writes the record; "" without a record. Takes one system call. */
  get stamp(): string {
    const facts = statSync(this.path, { throwIfNoEntry: false });
    return facts ? `${facts.ino} ${facts.mtimeMs} ${facts.size}` : '';
  }

  /**
   * Returns the stored record, or undefined before the first login.
   * @throws Error if another user could read or replace the file, or the keychain fails.
   */
  async read(): Promise<LoginRecord | undefined> {
    const stored = this.#readFile();
    if (stored?.secretsIn !== 'keychain') return stored;
    const secrets = await (await this.#openKeychain())?.get(this.#account);
    if (secrets === undefined) return { ...stored, tokens: undefined };
    return readLoginRecord(secrets);
  }

  /** Where the secrets of the record are; undefined without a record. For `doctor`. */
  get place(): 'keychain' | 'file' | undefined {
    const stored = this.#readFile();
    return stored && (stored.secretsIn ?? 'file');
  }

  /** @throws Error if only the keychain may keep secrets, and it cannot be used. */
  async check(): Promise<void> {
    if (this.#options.kind !== 'keychain') return;
    try {
      const keychain = await this.#requireKeychain();
      // A locked keychain can be read if it has no entry.
      const probe = `${this.#account} probe`;
      await keychain.set(probe, 'probe');
      await keychain.delete(probe);
    } catch (error) {
      throw keychainError(error);
    }
  }

  /**
   * Replaces the record as one step. Call it under `locked`.
   * @returns where the secrets are.
   */
  async write(record: LoginRecord): Promise<'keychain' | 'file'> {
    const inKeychain = await this.#writeKeychain(record);
    const { client, tokens, ...open } = record;
    const stored: StoredFile = inKeychain
      ? { ...open, format: 1, secretsIn: 'keychain' }
      : { ...record, format: 1 };
    await this.#writeFile(JSON.stringify(stored));
    return inKeychain ? 'keychain' : 'file';
  }

  /** Removes the record. @returns false if there was none. */
  async remove(): Promise<boolean> {
    const existed = statSync(this.path, { throwIfNoEntry: false }) !== undefined;
    if (this.#options.kind !== 'file') {
      try {
        await (await this.#openKeychain())?.delete(this.#account);
      } catch {
        // Without an entry, or without a keychain, there is nothing to delete.
      }
    }
    await rm(this.path, { force: true });
    return existed;
  }

  /** Runs work while no other process refreshes or replaces this login. */
  async locked<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    this.#createFolder();
    return withFileLock(`${this.path}.lock`, { clock: this.#options.clock, signal }, work);
  }

  #readFile(): StoredFile | undefined {
    let fd: number;
    try {
      fd = openTrusted(this.path, constants.O_RDONLY);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw new Error(`the login in ${this.path} cannot be used: ${causeText(error)}`, { cause: error });
    }
    try {
      const facts = fstatSync(fd);
      if (process.getuid && (facts.mode & READABLE_BY_OTHERS) !== 0)
        throw new Error(`other users can read the login in ${this.path}: run chmod 600 on it`);
      if (facts.size > MAX_FILE_BYTES) throw new Error(`the login in ${this.path} is too large`);
      return readLoginRecord(readFileSync(fd, 'utf8')) as StoredFile | undefined;
    } finally {
      closeSync(fd);
    }
  }

  async #writeFile(text: string): Promise<void> {
    this.#createFolder();
    const draft = `${this.path}.${randomUUID()}`;
    try {
      await writeFile(draft, text, { mode: FILE_MODE, flag: 'wx' });
      await rename(draft, this.path);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }

  #createFolder(): void {
    const { folder } = this.#options;
    createFolder(folder, FOLDER_MODE);
    const problem = folderProblem(folder);
    if (problem !== undefined) throw new Error(`no login can be stored: ${problem}`);
  }

  /** @returns false where the file keeps the secrets. @throws Error if only the keychain may. */
  async #writeKeychain(record: LoginRecord): Promise<boolean> {
    const { kind } = this.#options;
    if (kind === 'file') return false;
    try {
      const keychain = await this.#requireKeychain();
      const secrets = JSON.stringify(record);
      await keychain.set(this.#account, secrets);
      if ((await keychain.get(this.#account)) !== secrets)
        throw new Error('it does not return what was stored');
      return true;
    } catch (error) {
      if (kind === 'auto') return false;
      throw keychainError(error);
    }
  }

  async #requireKeychain(): Promise<Keychain> {
    const keychain = await this.#openKeychain();
    if (!keychain) throw new Error('the package @napi-rs/keyring is not installed beside mcp-sigv4-proxy');
    return keychain;
  }

  #openKeychain(): Promise<Keychain | undefined> {
    const { clock, keychain = () => openKeychain(clock) } = this.#options;
    this.#keychain ??= keychain();
    return this.#keychain;
  }
}

const keychainError = (cause: unknown): Error =>
  new Error(`the keychain cannot be used: ${causeText(cause)}`, { cause });
