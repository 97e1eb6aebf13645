import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadTokens, readTokens, TokenFile } from '../../../src/client/http/token-file.ts';
import { Tokens } from '../../../src/client/http/tokens.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { makeTempHome } from '../../support/temp-home.ts';

const FIRST = 'a-token-of-enough-characters';
const SECOND = 'another-token-of-enough-characters';

const tokensOf = (fixed: readonly { name: string; secret: string }[], file?: string) => {
  const clock = new FakeClock();
  const unusable: string[] = [];
  const tokens = new Tokens({
    fixed,
    file,
    clock,
    onTokens: () => undefined,
    onUnusable: (message) => unusable.push(message),
  });
  return { tokens, clock, unusable };
};

describe('the text of a token file', () => {
  it('a token file has a name=secret on each line, and may have comments, blank lines and CRLF', () => {
    const text = `\uFEFF# tokens\r\n\r\nci = ${FIRST}\r\nbob@example.com=${SECOND}==\nci=${SECOND}\n`;
    expect(readTokens(text)).toEqual({
      tokens: [
        { name: 'ci', secret: FIRST },
        { name: 'bob@example.com', secret: `${SECOND}==` },
        { name: 'ci', secret: SECOND },
      ],
    });
  });

  it.each([
    ['nothing', '', 'no name=secret line'],
    ['comments only', '# ci=a\n', 'no name=secret line'],
    ['a secret without a name', `${FIRST}\n`, 'line 1 must be name=secret'],
    ['an empty name', `=${FIRST}\n`, 'line 1 must be name=secret'],
    ['a name with a blank', `a b=${FIRST}\n`, 'line 1 must be name=secret'],
    ['a short secret', `ci=${FIRST}\nbob=short\n`, 'line 2: the secret needs at least 16 characters'],
    ['one secret of two names', `ci=${FIRST}\nbob=${FIRST}\n`, 'line 2 repeats the secret of another name'],
    [
      'too many',
      Array.from({ length: 257 }, (_none, index) => `n=${index}-${FIRST}`).join('\n'),
      'more than 256',
    ],
  ])('a token file of %s is refused, for a reason without secrets', (_what, text, problem) => {
    const read = readTokens(text);
    expect(read).toHaveProperty('problem', expect.stringContaining(problem));
    expect(JSON.stringify(read)).not.toContain(FIRST);
  });

  it('a token file is read only if it is a regular file of bounded length', async () => {
    const home = await makeTempHome();
    expect(loadTokens(join(home.home, 'missing'))).toHaveProperty(
      'problem',
      expect.stringContaining('ENOENT'),
    );
    await mkdir(join(home.home, 'folder'));
    expect(loadTokens(join(home.home, 'folder'))).toHaveProperty(
      'problem',
      expect.stringContaining('regular file'),
    );
    expect(loadTokens(await home.write('long', '#'.repeat(300_000)))).toHaveProperty(
      'problem',
      expect.stringContaining('longer than'),
    );
  });
});

describe('a token that a caller presents', () => {
  it.each([
    [`Bearer ${FIRST}`, 'one'],
    [`bearer  ${SECOND} `, 'two'],
    [FIRST, undefined],
    [`Bearer ${FIRST}x`, undefined],
    [`Bearer ${FIRST.slice(1)}`, undefined],
    ['Bearer ', undefined],
    ['Basic dTpw', undefined],
    [undefined, undefined],
  ])('the Authorization header %s belongs to the token named %s', (authorization, name) => {
    const { tokens } = tokensOf([
      { name: 'one', secret: FIRST },
      { name: 'two', secret: SECOND },
    ]);
    expect(tokens.required).toBe(true);
    expect(tokens.nameOf(authorization)).toBe(name);
  });

  it('a token is not required if none is configured', () => {
    const { tokens } = tokensOf([]);
    expect([tokens.required, tokens.nameOf('Bearer '), tokens.nameOf(`Bearer ${FIRST}`)]).toEqual([
      false,
      undefined,
      undefined,
    ]);
  });
});

describe('a token file that changes', () => {
  it('a changed token file is read within a second, and each defect is reported once', async () => {
    const home = await makeTempHome();
    const path = await home.write('tokens', `ci=${FIRST}`);
    const { tokens, clock, unusable } = tokensOf([], path);
    await tokens.open();
    const changed = async (text: string, done: () => boolean): Promise<void> => {
      await writeFile(path, text);
      // The clock is simulated, the file is real: its reads take as long as the machine needs.
      await expect
        .poll(async () => {
          await clock.advance(1_000);
          return done();
        })
        .toBe(true);
    };
    await changed('bad', () => unusable.length === 1);
    expect(tokens.nameOf(`Bearer ${FIRST}`)).toBe('ci');
    await changed('bad again', () => true);
    for (let turn = 0; turn < 100; turn++) await clock.advance(1_000);
    expect(unusable.length).toBe(1);
    await changed(`ci=${SECOND}`, () => tokens.nameOf(`Bearer ${SECOND}`) === 'ci');
    expect(tokens.nameOf(`Bearer ${FIRST}`)).toBeUndefined();
    await changed('bad', () => unusable.length === 2);
    tokens.close();
  });

  it('a token file must be usable at the start', async () => {
    const home = await makeTempHome();
    const { tokens } = tokensOf([], join(home.home, 'missing'));
    await expect(tokens.open()).rejects.toThrow('--listen-token-file');
  });
});

it.skipIf(process.platform === 'win32')('a token file that every user can write to is refused', async () => {
  const { home } = await makeTempHome();
  const path = join(home, 'shared-tokens');
  await writeFile(path, 'ci=sixteen-characters\n');
  await chmod(path, 0o646);
  expect(loadTokens(path)).toEqual({ problem: 'every user can write to it' });
  expect(await new TokenFile(path).changed()).toEqual({ problem: 'every user can write to it' });
  await chmod(path, 0o664);
  expect(loadTokens(path)).toHaveProperty('tokens');
});
