import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { shellLine, shellVariable, shellWord } from '../../src/commands/shell-word.ts';

const WORDS = [
  'dev',
  '',
  '0',
  "it's",
  'a b',
  '{"a":"1"}',
  '$HOME',
  '`id`',
  '<NAME>',
  'a,b',
  '@x',
  'C:\\x y',
  '%PATH%',
];

describe('shellLine', () => {
  it.each(WORDS)('a POSIX shell reads %j back, as a word and as the value of a variable', (word) => {
    const script = `${shellVariable('WORD', word, 'linux')}\nprintf '%s|' "$WORD" ${shellLine([word], 'linux')}`;
    expect(spawnSync('sh', ['-c', script], { encoding: 'utf8' }).stdout).toBe(`${word}|${word}|`);
  });

  it.each([
    ['dev', 'dev'],
    ['C:\\tools\\x.exe', 'C:\\tools\\x.exe'],
    ['', "''"],
    ["it's", "'it''s'"],
    ['a,b', "'a,b'"],
    ['@x', "'@x'"],
    ['$HOME', "'$HOME'"],
  ])('on Windows %j is written for PowerShell as %s', (word, written) => {
    expect(shellWord(word, 'win32')).toBe(written);
  });

  it('on Windows a variable is set in the syntax of PowerShell', () => {
    expect(shellVariable('AWS_REGION', "eu'1", 'win32')).toBe("$env:AWS_REGION = 'eu''1'");
  });
});
