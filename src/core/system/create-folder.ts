import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Creates a folder and the missing folders above it. The `recursive` of Node 20 never returns where
 * the system refuses a name with ENOENT, as /proc does.
 * @throws the error of the system, with its code and the path.
 */
export function createFolder(path: string, mode = 0o777): void {
  try {
    createOne(path, mode);
  } catch (error) {
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw error;
    createFolder(parent, mode);
    createOne(path, mode);
  }
}

/** Another process may have created it. */
function createOne(path: string, mode: number): void {
  try {
    mkdirSync(path, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
