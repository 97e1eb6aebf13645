import { existsSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createFolder } from '../../../src/core/system/create-folder.ts';
import { afterThisTest } from '../../support/cleanup.ts';

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'folders-'));
  afterThisTest(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe('createFolder', () => {
  it('a folder and all missing folders above it are created with the mode', async () => {
    const path = join(await temporaryFolder(), 'one', 'two', 'three');
    createFolder(path, 0o700);
    expect([path, join(path, '..')].map((folder) => statSync(folder).mode & 0o777)).toEqual([0o700, 0o700]);
  });

  it('a folder that exists stays as it is', async () => {
    const folder = await temporaryFolder();
    writeFileSync(join(folder, 'kept'), '');
    createFolder(folder);
    expect(existsSync(join(folder, 'kept'))).toBe(true);
  });

  it('a folder below a file fails with ENOTDIR', async () => {
    const file = join(await temporaryFolder(), 'file');
    writeFileSync(file, '');
    expect(() => createFolder(join(file, 'sub', 'folder'))).toThrow('ENOTDIR');
  });

  it.runIf(process.platform === 'linux')('a folder in /proc fails instead of an endless loop', () => {
    expect(() => createFolder('/proc/no-such-process/folder')).toThrow(/^ENOENT.*'\/proc\/no-such-process'$/);
  });
});
