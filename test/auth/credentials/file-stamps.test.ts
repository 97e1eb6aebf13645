import { writeFileSync } from 'node:fs';
import { rename, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  type FileStamps,
  sameStamps,
  stampFiles,
  unchanged,
} from '../../../src/auth/credentials/file-stamps.ts';
import { makeTempHome } from '../../support/temp-home.ts';

test('a stamp changes when a file appears, and after an edit of equal time and size in another inode', async () => {
  const home = await makeTempHome();
  const path = join(home.home, 'file');
  const absent = stampFiles([path]);
  await home.write('file', 'one');
  const date = new Date();
  await utimes(path, date, date);
  const first = stampFiles([path]);
  await rename(await home.write('file.new', 'two'), path);
  await utimes(path, date, date);
  const second = stampFiles([path]);
  expect(sameStamps(absent, first)).toBe(false);
  expect(sameStamps(first, second)).toBe(false);
  await nextTurn();
  expect([unchanged(first), unchanged(second)]).toEqual([false, true]);
});

test('a stamp changes after an edit of equal time, size and inode, within one tick of the file system', async () => {
  const home = await makeTempHome();
  const path = join(home.home, 'file');
  const date = new Date();
  const stampsWith = async (text: string): Promise<FileStamps> => {
    await home.write('file', text);
    await utimes(path, date, date);
    return stampFiles([path]);
  };
  const first = await stampsWith('one');
  const second = await stampsWith('two');
  expect(sameStamps(first, second)).toBe(false);
  expect(sameStamps(second, await stampsWith('two'))).toBe(true);
});

test('a file that was not edited recently is not read again', async () => {
  const home = await makeTempHome();
  const path = join(home.home, 'file');
  await home.write('file', 'one');
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(path, longAgo, longAgo);
  const first = stampFiles([path]);
  await nextTurn();
  expect(stampFiles([path]).get(path)).toBe(first.get(path));
});

test('a file is checked once in a turn of the event loop, promise callbacks included, and again in the next turn', async () => {
  const home = await makeTempHome();
  const path = await home.write('file', 'one');
  const stamps = stampFiles([path]);
  writeFileSync(path, 'another');
  for (let at = 0; at < 5; at++) await undefined;
  expect(unchanged(stamps)).toBe(true);
  await nextTurn();
  expect(unchanged(stamps)).toBe(false);
});

test('a check in a tick before the promise callbacks serves these callbacks too', async () => {
  const home = await makeTempHome();
  const path = await home.write('file', 'one');
  const results = await new Promise<boolean[]>((resolve) => {
    setImmediate(() => {
      const stamps = stampFiles([path]);
      writeFileSync(path, 'another');
      const first = Promise.resolve().then(() => unchanged(stamps));
      const later = first.then((result) => [result, unchanged(stamps)]);
      later.then((both) => setImmediate(() => resolve([...both, unchanged(stamps)])));
    });
  });
  expect(results).toEqual([true, true, false]);
});
