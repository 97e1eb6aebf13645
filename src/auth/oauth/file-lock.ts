import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Clock } from '../../core/time/clock.ts';
import { sleep } from '../../core/time/waits.ts';

/** Longer than all work under a lock may take: the holder of an older lock has died. */
export const MAX_LOCK_MS = 120_000;
/** Delay between two attempts; a refresh takes about as long. */
const POLL_MS = 50;
const POLL_JITTER_MS = 50;

interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly id: string;
}

/**
 * Runs work while no other process does so under the same path. A lock is a file that only one
 * process can create; the lock of a dead process is removed.
 * @throws the signal's reason; what the work throws.
 */
export async function withFileLock<T>(
  path: string,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  work: () => Promise<T>,
): Promise<T> {
  const own: Holder = { pid: process.pid, host: hostname(), id: randomUUID() };
  while (!create(path, own)) {
    signal.throwIfAborted();
    if (isStale(path)) removeStale(path);
    else await sleep(clock, POLL_MS + clock.random() * POLL_JITTER_MS, signal);
  }
  try {
    return await work();
  } finally {
    if (read(path)?.id === own.id) remove(path);
  }
}

/** @returns false if the file exists. */
function create(path: string, holder: Holder): boolean {
  try {
    const fd = openSync(path, 'wx', 0o600);
    try {
      writeSync(fd, JSON.stringify(holder));
    } finally {
      closeSync(fd);
    }
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** True if the process that created the lock has ended. */
function isStale(path: string): boolean {
  const age = ageOf(path);
  if (age === undefined) return false;
  if (age > MAX_LOCK_MS) return true;
  const holder = read(path);
  return holder?.host === hostname() && holder.pid !== process.pid && !isAlive(holder.pid);
}

/**
 * Removes a stale lock, one process at a time: between the check and the removal, another process
 * could remove it and create its own. Nothing is awaited here.
 */
function removeStale(path: string): void {
  const guard = `${path}.removing`;
  if (!create(guard, { pid: process.pid, host: hostname(), id: '' })) {
    if ((ageOf(guard) ?? 0) > MAX_LOCK_MS) remove(guard);
    return;
  }
  try {
    if (isStale(path)) remove(path);
  } finally {
    remove(guard);
  }
}

/** The real time since the file was written: file systems know no other. */
function ageOf(path: string): number | undefined {
  const facts = statSync(path, { throwIfNoEntry: false });
  return facts && Date.now() - facts.mtimeMs;
}

function read(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    // Just created and still empty, or already removed.
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isCode(error, 'ESRCH');
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
