import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  defectOf,
  defectsOf,
  readProfileFacts,
  sharedPaths,
} from '../../../src/auth/credentials/shared-files.ts';
import { makeTempHome } from '../../support/temp-home.ts';

describe('profile facts', () => {
  test('profile facts come from both files, and the credentials file wins', async () => {
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

  test('profile facts are read again on every call', async () => {
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

  test('profile facts without a profile are those of AWS_PROFILE, or of default', async () => {
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
  ])('profile facts of a broken file (%s) report a profile that does not exist', async (_, path, text) => {
    const home = await makeTempHome();
    await home.write(path, text);
    expect(await readProfileFacts('work', home.env)).toEqual({ exists: false, known: [] });
  });

  test.each(['__proto__', 'constructor', 'toString'])(
    'profile facts include a profile called %s, and hide no other profile',
    async (name) => {
      const home = await makeTempHome();
      await home.config(`[profile ${name}]\nregion = eu-west-1\n[profile work]\nregion = eu-west-2\n`);
      const known = [name, 'work'].sort();
      const facts = { exists: true, region: 'eu-west-1', known };
      expect(await readProfileFacts(name, home.env)).toEqual(facts);
      expect(await readProfileFacts('work', home.env)).toEqual({ ...facts, region: 'eu-west-2' });
    },
  );

  test('profile facts do not include a missing profile with the name of an object property', async () => {
    const home = await makeTempHome();
    expect(await readProfileFacts('constructor', home.env)).toEqual({ exists: false, known: [] });
  });
});

test('the paths of the AWS files follow the environment, ~ included', () => {
  expect(sharedPaths({ HOME: '/h' })).toEqual({
    config: join('/h', '.aws', 'config'),
    credentials: join('/h', '.aws', 'credentials'),
  });
  expect(sharedPaths({ HOME: '/h', AWS_CONFIG_FILE: '~/c', AWS_SHARED_CREDENTIALS_FILE: '/d' })).toEqual({
    config: '/h/c',
    credentials: '/d',
  });
});

describe('defects of an AWS file', () => {
  test.each([
    ['', undefined],
    ['# c\n; c\n\n[default]\nregion = x ; why\ns3 =\n  max = 1\nempty =\n', undefined],
    ['\uFEFF[default]\nregion = x\r\n', undefined],
    ['[default]\nregion\n', 'is broken in line 2'],
    ['region = x\n', 'is broken in line 1'],
    ['[default]\n[work\n', 'is broken in line 2'],
    ['[default]\n= x\n', 'is broken in line 2'],
    ['\uFFFD\uFFFD[\0d\0', 'is not UTF-8 text'],
  ])('the defects of an AWS file with the text %j: %s', (text, defect) => {
    expect(defectOf(text)).toBe(defect);
  });

  test('a missing AWS file is no defect', async () => {
    const home = await makeTempHome();
    expect(await defectsOf(sharedPaths(home.env))).toEqual([]);
  });
});
