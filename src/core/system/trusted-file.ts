import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';

const WRITABLE_BY_OTHERS = 0o022;
const WRITABLE_BY_ALL = 0o002;
/** In a folder with this bit, such as /tmp, nobody can rename the files of another user. */
const STICKY = 0o1000;
const ROOT = 0;

/** Undefined on Windows, which has access lists instead of owners. */
const ownUid = (): number | undefined => process.getuid?.();

const isForeign = ({ uid }: Stats, own: number): boolean => uid !== own && uid !== ROOT;

/**
 * Why another user could replace or read files in a folder; undefined where none can.
 * @param folder - one that exists.
 */
export function folderProblem(folder: string): string | undefined {
  const own = ownUid();
  if (own === undefined) return undefined;
  const real = realpathSync(folder);
  for (const path of new Set([...chainOf(resolve(folder)), ...chainOf(real)])) {
    const facts = lstatSync(path);
    if (isForeign(facts, own)) return `${path} belongs to another user`;
    const isOpen = facts.isDirectory() && (facts.mode & WRITABLE_BY_ALL) !== 0;
    if (isOpen && (facts.mode & STICKY) === 0) return `every user can write to the folder ${path}`;
  }
  return (statSync(real).mode & WRITABLE_BY_OTHERS) === 0
    ? undefined
    : `other users can write to the folder ${real}`;
}

/** The path and every folder above it. */
function chainOf(path: string): string[] {
  const above = dirname(path);
  return above === path ? [path] : [...chainOf(above), path];
}

function fileProblem(facts: Stats): string | undefined {
  if (!facts.isFile()) return 'it is not a regular file';
  const own = ownUid();
  if (own === undefined) return undefined;
  if (isForeign(facts, own)) return 'it belongs to another user';
  return (facts.mode & WRITABLE_BY_OTHERS) === 0 ? undefined : 'other users can write to it';
}

/**
 * Opens a regular file that no other user can write or exchange. Never waits for the other end of a
 * FIFO or a device.
 * @param mode - of a file that `flags` creates.
 * @throws Error that says what is wrong, or what the system said, such as ENOENT.
 */
export function openTrusted(path: string, flags: number, mode?: number): number {
  const problem = folderProblem(dirname(path)) ?? existingProblem(path, flags);
  if (problem !== undefined) throw new Error(problem);
  const fd = openSync(path, flags | (constants.O_NONBLOCK ?? 0), mode);
  const opened = fileProblem(fstatSync(fd));
  if (opened === undefined) return fd;
  closeSync(fd);
  throw new Error(opened);
}

/** Checked before opening, because opening a device can have effects. */
function existingProblem(path: string, flags: number): string | undefined {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts) return fileProblem(facts);
  if ((flags & constants.O_CREAT) !== 0) return undefined;
  throw Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: 'ENOENT' });
}
