import type pino from 'pino';
import { openLogFile } from './options.ts';

/** Characters held for a client that does not read stderr; later lines are dropped. */
const MAX_UNREAD_CHARACTERS = 4 * 1024 * 1024;
/** Characters that wait for a slow disk; later lines are dropped. */
const MAX_UNWRITTEN_CHARACTERS = 16 * 1024 * 1024;

/** Where lines go. */
export interface LineTarget {
  write(text: string): void;
  /** Writes what is held. Absent where nothing is. */
  flush?(): void;
  /** Opens the file again by its name, after a rotation has renamed it. Absent for stderr. */
  reopen?(): void;
}

/** @param options.sync - true: each line is written before `write` returns. */
export function fileTarget(
  { destination }: typeof pino,
  file: string,
  { sync, onDrop }: { readonly sync: boolean; readonly onDrop?: () => void },
): LineTarget {
  const open = () => {
    const opened = destination({
      dest: openLogFile(file),
      sync,
      ...(sync ? {} : { maxLength: MAX_UNWRITTEN_CHARACTERS }),
    });
    opened.on('error', () => undefined);
    if (onDrop) opened.on('drop', onDrop);
    return opened;
  };
  let sink = open();
  return {
    write: (text) => void sink.write(text),
    flush: () => sink.flushSync(),
    reopen() {
      const former = sink;
      sink = open();
      former.flushSync();
      former.end();
    },
  };
}

/**
 * Node's own stream: a synchronous write to a pipe that its client does not read would stop the
 * whole process.
 */
export function stderrTarget(): LineTarget {
  const { stderr } = process;
  // A dead stderr must not become an exception whose report goes to the dead stderr.
  stderr.on('error', () => undefined);
  return {
    write(text) {
      if (stderr.writableLength < MAX_UNREAD_CHARACTERS) stderr.write(text);
    },
  };
}
