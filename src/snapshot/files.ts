import { createHash, randomUUID } from 'node:crypto';
import { closeSync, constants, promises as fs, fstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { causeText } from '../core/errors/errors.ts';
import { isObject } from '../core/jsonrpc/message.ts';
import type { Events } from '../core/pipeline/events.ts';
import { createFolder } from '../core/system/create-folder.ts';
import { folderProblem, openTrusted } from '../core/system/trusted-file.ts';
import type { Snapshot, SnapshotStore } from '../core/tools/snapshot.ts';

/** Raised when the format changes; files of another format are ignored. */
const FORMAT = 1;
/** Enough for thousands of tools with long schemas; a longer file was not written by the proxy. */
const MAX_FILE_BYTES = 32 * 1024 * 1024;
/** Readable by the owner only: the tool list of an account is private. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** A draft exists for milliseconds. An older one was left by a killed process. */
const DRAFT_IS_LEFT_MS = 3_600_000;
/**
 * One per profile, endpoint and set of options in use; the files written longest ago are removed
 * first.
 */
const MAX_SNAPSHOTS = 200;
const SNAPSHOT_NAME = /^[\da-f]{64}\.json$/;
const DRAFT_NAME = /^[\da-f]{64}\.json\.[\da-f-]{36}$/;

export interface SnapshotFilesOptions {
  readonly folder: string;
  /** Everything that determines the answers. It holds no secrets, and only its hash is stored. */
  readonly identity: unknown;
  /** The principal of the requests. If it is known in advance, only its own snapshot is used. */
  readonly principal?: {
    /** The principal, if it is known before the first request. */
    foreseen(): Promise<string | undefined>;
    now(): string | undefined;
  };
  readonly events: Events;
}

/** Snapshots as files of one folder, one for each identity and revision. */
export class SnapshotFiles implements SnapshotStore {
  readonly #options: SnapshotFilesOptions;
  #writing: Promise<void> = Promise.resolve();
  #swept = false;

  constructor(options: SnapshotFilesOptions) {
    this.#options = options;
  }

  async load(revision: string): Promise<Snapshot | undefined> {
    const path = this.#pathOf(revision);
    try {
      const { by, ...kept } = readSnapshot(readTrusted(path));
      const asks = await this.#options.principal?.foreseen();
      return asks === undefined || digest(asks) === by ? kept : undefined;
    } catch (error) {
      if (!isMissing(error)) this.#complain('read', path, error);
      return undefined;
    }
  }

  save(revision: string, snapshot: Snapshot): Promise<void> {
    // Written in order, so that the last snapshot stays.
    this.#writing = this.#writing.then(() => this.#write(revision, snapshot));
    return this.#writing;
  }

  /** Resolves when all pending snapshots are written. */
  written(): Promise<void> {
    return this.#writing;
  }

  async #write(revision: string, { opening, pages }: Snapshot): Promise<void> {
    const path = this.#pathOf(revision);
    // Two proxies may write the same snapshot: each file is complete, and the later one wins.
    const draft = `${path}.${randomUUID()}`;
    try {
      createFolder(this.#options.folder, FOLDER_MODE);
      const problem = folderProblem(this.#options.folder);
      if (problem !== undefined) throw new Error(problem);
      const principal = this.#options.principal?.now();
      const by = principal === undefined ? {} : { by: digest(principal) };
      await fs.writeFile(draft, JSON.stringify({ format: FORMAT, ...by, opening, pages }), {
        mode: FILE_MODE,
        flag: 'wx',
      });
      await fs.rename(draft, path);
      await this.#sweep();
    } catch (error) {
      this.#complain('written', path, error);
      await fs.rm(draft, { force: true }).catch(() => undefined);
    }
  }

  /** Runs once per process. Never throws. */
  async #sweep(): Promise<void> {
    if (this.#swept) return;
    this.#swept = true;
    const { folder } = this.#options;
    const names = await fs.readdir(folder).catch(() => []);
    const found = await Promise.all(
      names.map(async (name) => {
        const facts = await fs.stat(join(folder, name)).catch(() => undefined);
        return { name, at: facts?.mtimeMs ?? Number.POSITIVE_INFINITY };
      }),
    );
    const left = found.filter(({ name, at }) => DRAFT_NAME.test(name) && Date.now() - at > DRAFT_IS_LEFT_MS);
    const old = found
      .filter(({ name }) => SNAPSHOT_NAME.test(name))
      .sort((one, other) => other.at - one.at)
      .slice(MAX_SNAPSHOTS);
    for (const { name } of [...left, ...old])
      await fs.rm(join(folder, name), { force: true }).catch(() => undefined);
  }

  #pathOf(revision: string): string {
    const { folder, identity } = this.#options;
    return join(folder, `${digest(JSON.stringify([identity, revision]))}.json`);
  }

  #complain(what: string, path: string, error: unknown): void {
    const message = `the snapshot ${path} cannot be ${what}: ${causeText(error)}`;
    this.#options.events.emit({ type: 'snapshot.unusable', message });
  }
}

/**
 * @throws Error if another user can write or replace the file: it decides which tools a client
 * sees.
 */
function readTrusted(path: string): string {
  const fd = openTrusted(path, constants.O_RDONLY);
  try {
    if (fstatSync(fd).size > MAX_FILE_BYTES) throw new Error('it is too large to be a snapshot');
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

/**
 * @throws Error if any part of the text does not match the format: clients must be able to read it.
 */
function readSnapshot(text: string): Snapshot & { readonly by: string | undefined } {
  const file: unknown = JSON.parse(text);
  if (!isObject(file) || file.format !== FORMAT) throw new Error('it is of another version');
  const { opening, pages, by } = file;
  if (typeof opening !== 'string' || !isOpening(JSON.parse(opening)))
    throw new Error('its opening is broken');
  if (!isObject(pages)) throw new Error('its pages are broken');
  const texts: Record<string, string> = {};
  for (const [key, page] of Object.entries(pages)) {
    if (typeof page !== 'string' || !isPage(JSON.parse(page))) throw new Error('one of its pages is broken');
    texts[key] = page;
  }
  return { opening, pages: texts, by: typeof by === 'string' ? by : undefined };
}

const isOpening = (value: unknown): boolean =>
  isObject(value) && typeof value.protocolVersion === 'string' && isObject(value.capabilities);

const isPage = (value: unknown): boolean => isObject(value) && Array.isArray(value.tools);
