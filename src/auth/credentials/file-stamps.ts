import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';

/** The state of one file. */
interface FileStamp {
  readonly modifiedMs: number;
  readonly size: number;
  readonly inode: number;
  readonly digest: string;
  /** True if every later edit changes the stat. */
  readonly settled: boolean;
}

export type FileStamps = ReadonlyMap<string, FileStamp>;

/** Above the resolution of file times: 2 s on FAT, 1 s on HFS+ and old NFS, 10 ms on ext4. */
const MIN_SETTLED_MS = 3_000;
/** Files that one proxy watches: two AWS files, and one token file for each profile. */
const MAX_KNOWN_FILES = 256;
const ABSENT: FileStamp = { modifiedMs: -1, size: -1, inode: -1, digest: '', settled: true };

const known = new Map<string, FileStamp>();
const checked = new Set<string>();

/**
 * Checks each file at most once in a turn of the event loop, however many calls and layers ask.
 * A file edited shortly ago is also read: a second edit may leave time and size as they were.
 */
export function stampFiles(paths: Iterable<string>): FileStamps {
  const stamps = new Map<string, FileStamp>();
  for (const path of paths) stamps.set(path, stampOf(path));
  return stamps;
}

function stampOf(path: string): FileStamp {
  const last = known.get(path);
  if (last !== undefined && checked.has(path)) return last;
  if (checked.size === 0) endOfTurn(() => checked.clear());
  if (known.size >= MAX_KNOWN_FILES) known.clear();
  const stamp = readStamp(path, last);
  known.set(path, stamp);
  checked.add(path);
  return stamp;
}

/**
 * Runs `action` after all promise callbacks of this turn, and before anything more is read from a
 * pipe or socket. No timer: a client can edit a file and send its next request within a
 * millisecond.
 */
function endOfTurn(action: () => void): void {
  process.nextTick(() => queueMicrotask(() => process.nextTick(action)));
}

function readStamp(path: string, last: FileStamp | undefined): FileStamp {
  try {
    // Synchronous: a stat takes microseconds, and the thread pool a hundred times as long.
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return ABSENT;
    const { mtimeMs: modifiedMs, size, ino: inode } = found;
    const stat = { modifiedMs, size, inode };
    if (last?.settled && sameStat(last, stat)) return last;
    // Not settled if in the future either: the clock of a file server may be ahead.
    const settled = Date.now() - modifiedMs > MIN_SETTLED_MS;
    const digest = found.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
    return { modifiedMs, size, inode, settled, digest };
  } catch {
    return ABSENT;
  }
}

type Stat = Pick<FileStamp, 'modifiedMs' | 'size' | 'inode'>;

const sameStat = (one: Stat, other: Stat): boolean =>
  one.modifiedMs === other.modifiedMs && one.size === other.size && one.inode === other.inode;

export function sameStamps(one: FileStamps, other: FileStamps): boolean {
  if (one.size !== other.size) return false;
  for (const [path, stamp] of one) if (!sameStamp(stamp, other.get(path))) return false;
  return true;
}

/** True if the files are as `stamps` found them. */
export function unchanged(stamps: FileStamps): boolean {
  for (const [path, stamp] of stamps) if (!sameStamp(stamp, stampOf(path))) return false;
  return true;
}

const sameStamp = (one: FileStamp, other: FileStamp | undefined): boolean =>
  one === other || (other !== undefined && sameStat(one, other) && one.digest === other.digest);
