/** The facts of a file that decide whether it is read, and whether it has changed. */
export interface FileFacts {
  isFile(): boolean;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mode: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** Another text for a file that was edited or replaced. */
export const stampOf = ({ ino, size, mode, mtimeNs, ctimeNs }: FileFacts): string =>
  `${ino} ${size} ${mode} ${mtimeNs} ${ctimeNs}`;

const WRITABLE_BY_ALL = 0o002n;

/**
 * Why a file cannot be trusted or read; undefined where it can. Reading a FIFO or a device would
 * block.
 */
export function fileProblem(facts: FileFacts, maxBytes: number): string | undefined {
  if (!facts.isFile()) return 'it is not a regular file';
  // Not its owner or group: containers mount secrets that belong to others. Windows has no modes.
  if (process.getuid && (facts.mode & WRITABLE_BY_ALL) !== 0n) return 'every user can write to it';
  return facts.size > maxBytes ? `it is longer than ${maxBytes} bytes` : undefined;
}
