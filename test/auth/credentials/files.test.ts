import { rename, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type FileStamps,
  faultOf,
  faultsIn,
  readProfileFacts,
  sameStamps,
  sharedPaths,
  stampFiles,
} from '../../../src/auth/credentials/files.ts';
import { makeTempHome } from '../../support/temp-home.ts';

describe('profile facts', () => {
  test('come from both files, the credentials file having the last word', async () => {
    const home = await makeTempHome();
    await home.config(
      '[profile work]\nregion = eu-west-1\nca_bundle = /etc/ca.pem\n[sso-session corp]\nsso_region = x\n',
    );
    await home.credentials('[work]\nregion = eu-west-2\n[default]\naws_access_key_id = a\n');
    expect(await readProfileFacts('work', home.env)).toEqual({
      exists: true,
      region: 'eu-west-2',
      caBundle: '/etc/ca.pem',
      known: ['default', 'work'],
    });
  });

  test('are read afresh each time', async () => {
    const home = await makeTempHome();
    expect(await readProfileFacts('work', home.env)).toEqual({ exists: false, known: [] });
    await home.config('[profile work]\nregion = eu-west-1\n');
    expect(await readProfileFacts('work', home.env)).toEqual({
      exists: true,
      region: 'eu-west-1',
      known: ['work'],
    });
    await home.config('[profile work]\nregion = eu-west-2\n');
    expect(await readProfileFacts('work', home.env)).toMatchObject({ region: 'eu-west-2' });
  });

  test('without a profile are those of AWS_PROFILE, else of default', async () => {
    const home = await makeTempHome();
    await home.config('[default]\nregion = eu-west-1\n[profile work]\nregion = eu-west-2\n');
    expect(await readProfileFacts(undefined, home.env)).toMatchObject({ region: 'eu-west-1' });
    expect(await readProfileFacts(undefined, { ...home.env, AWS_PROFILE: 'work' })).toMatchObject({
      region: 'eu-west-2',
    });
  });

  test.each([
    ['a folder in its place', '.aws/config/inside', ''],
    ['an unfinished section', '.aws/config', '[profile work\nregion = eu-west-1\n'],
  ])('of a broken file with %s say that the profile does not exist', async (_, path, text) => {
    const home = await makeTempHome();
    await home.write(path, text);
    expect(await readProfileFacts('work', home.env)).toEqual({ exists: false, known: [] });
  });

  test.each(['__proto__', 'constructor', 'toString'])(
    'are those of a profile called %s, and cost no other profile',
    async (name) => {
      const home = await makeTempHome();
      await home.config(`[profile ${name}]\nregion = eu-west-1\n[profile work]\nregion = eu-west-2\n`);
      const known = [name, 'work'].sort();
      const facts = { exists: true, region: 'eu-west-1', known };
      expect(await readProfileFacts(name, home.env)).toEqual(facts);
      expect(await readProfileFacts('work', home.env)).toEqual({ ...facts, region: 'eu-west-2' });
    },
  );

  test('do not find a profile called like what every object has', async () => {
    const home = await makeTempHome();
    expect(await readProfileFacts('constructor', home.env)).toEqual({ exists: false, known: [] });
  });
});

test('the paths follow the environment, ~ included', () => {
  expect(sharedPaths({ HOME: '/h' })).toEqual({
    config: join('/h', '.aws', 'config'),
    credentials: join('/h', '.aws', 'credentials'),
  });
  expect(sharedPaths({ HOME: '/h', AWS_CONFIG_FILE: '~/c', AWS_SHARED_CREDENTIALS_FILE: '/d' })).toEqual({
    config: '/h/c',
    credentials: '/d',
  });
});

test('a print changes with an edit, even one of equal time and size, and with coming and going', async () => {
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
  expect(sameStamps(second, stampFiles([path]))).toBe(true);
});

test('a print changes with an edit of equal time, size and place: the clock of a file system ticks slowly', async () => {
  const home = await makeTempHome();
  const path = join(home.home, 'file');
  const date = new Date();
  const prints = async (text: string, known?: FileStamps): Promise<FileStamps> => {
    await home.write('file', text);
    await utimes(path, date, date);
    return stampFiles([path], known);
  };
  const first = await prints('one');
  const second = await prints('two', first);
  expect(sameStamps(first, second)).toBe(false);
  expect(sameStamps(second, await prints('two', second))).toBe(true);
});

test('a file that was not touched of late is not read again', async () => {
  const home = await makeTempHome();
  const path = join(home.home, 'file');
  await home.write('file', 'one');
  const longAgo = new Date(Date.now() - 60_000);
  await utimes(path, longAgo, longAgo);
  const first = stampFiles([path]);
  expect(stampFiles([path], first).get(path)).toBe(first.get(path));
});

describe('faults', () => {
  test.each([
    ['', undefined],
    ['# c\n; c\n\n[default]\nregion = x ; why\ns3 =\n  max = 1\nempty =\n', undefined],
    ['\uFEFF[default]\nregion = x\r\n', undefined],
    ['[default]\nregion\n', 'is broken in line 2'],
    ['region = x\n', 'is broken in line 1'],
    ['[default]\n[work\n', 'is broken in line 2'],
    ['[default]\n= x\n', 'is broken in line 2'],
    ['\uFFFD\uFFFD[\0d\0', 'is not UTF-8 text'],
  ])('%j %s', (text, fault) => {
    expect(faultOf(text)).toBe(fault);
  });

  test('a missing file is none', async () => {
    const home = await makeTempHome();
    expect(await faultsIn(sharedPaths(home.env))).toEqual([]);
  });
});
