import { chmod, copyFile, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createFolder } from '../../core/system/create-folder.ts';

/** The file belongs to one user, and may name accounts. */
const NEW_FILE_MODE = 0o600;

/** The text of a file; empty if it does not exist. @throws Error if it cannot be read. */
export async function readIfPresent(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}

/**
 * Replaces a file in one step, after a copy of the old one beside it. A symbolic link stays.
 * @returns the path of the copy; undefined if there was no file.
 */
export async function replaceFile(path: string, text: string, now: Date): Promise<string | undefined> {
  createFolder(dirname(path));
  const target = await realpath(path).catch(() => path);
  const mode = await stat(target).then(
    (stats) => stats.mode & 0o777,
    () => undefined,
  );
  const stamp = now.toISOString().replace(/\D/g, '').slice(0, 14);
  const backup = mode === undefined ? undefined : `${target}.backup-${stamp}`;
  if (backup !== undefined) await copyFile(target, backup);
  const temporary = `${target}.new-${process.pid}`;
  await writeFile(temporary, text, { mode: mode ?? NEW_FILE_MODE });
  // The umask may have removed permissions that the old file has.
  if (mode !== undefined) await chmod(temporary, mode);
  await rename(temporary, target);
  return backup;
}

/** The changed lines between two texts, as a reader of `diff -u` knows them; empty if equal. */
export function changedLines(before: string, after: string): string {
  const old = linesOf(before);
  const recent = linesOf(after);
  let start = 0;
  while (start < Math.min(old.length, recent.length) && old[start] === recent[start]) start++;
  let end = 0;
  while (
    end < Math.min(old.length, recent.length) - start &&
    old[old.length - 1 - end] === recent[recent.length - 1 - end]
  )
    end++;
  const removed = old.slice(start, old.length - end).map((line) => `- ${line}\n`);
  const added = recent.slice(start, recent.length - end).map((line) => `+ ${line}\n`);
  return [...removed, ...added].join('');
}

const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/));
