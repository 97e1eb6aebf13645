import { expect, it } from 'vitest';
import { flagOf } from '../../src/config/option.ts';
import { didYouMean, similarNames } from '../../src/config/spelling.ts';
import { OPTIONS } from '../../src/settings.ts';

const TOOLS = ['aws___list_regions', 'aws___call_aws', 'echo', 'wait', 'ls'];

it.each<[given: string, names: string[]]>([
  ['list_regions', ['aws___list_regions']],
  ['list-regions', ['aws___list_regions']],
  ['list_regoins', ['aws___list_regions']],
  ['ECHO', ['echo']],
  ['ehco', ['echo']],
  ['wai', ['wait']],
  ['aws', ['aws___list_regions', 'aws___call_aws']],
  ['xyz', []],
  ['ab', []],
  ['', []],
])('a user who wrote %j may have meant %j', (given, names) => {
  expect(similarNames(given, TOOLS)).toEqual(names);
});

it('didYouMean returns the end of an error message, or nothing', () => {
  expect(didYouMean('ehco', TOOLS)).toBe('; did you mean echo?');
  expect(didYouMean('xyz', TOOLS)).toBe('');
});

it.each<[error: string, misspellings: (flag: string) => string[]]>([
  ['a missing letter', (flag) => positions(flag).map((at) => flag.slice(0, at) + flag.slice(at + 1))],
  [
    'two letters in the wrong order',
    (flag) =>
      positions(flag).map(
        (at) => `${flag.slice(0, at)}${flag[at + 1] ?? ''}${flag[at]}${flag.slice(at + 2)}`,
      ),
  ],
  ['its last third missing', (flag) => [flag.slice(0, Math.ceil((flag.length * 2) / 3))]],
])('a flag with %s gets the flag as a suggestion', (_error, misspellings) => {
  const flags = Object.keys(OPTIONS).map(flagOf);
  // The first five of the flags that begin so are suggested.
  const isBeginning = (given: string): boolean => flags.filter((flag) => flag.startsWith(given)).length > 5;
  const missed = flags.flatMap((flag) =>
    misspellings(flag).filter(
      (given) => !flags.includes(given) && !isBeginning(given) && !similarNames(given, flags).includes(flag),
    ),
  );
  expect(missed).toEqual([]);
});

/** The positions of the letters after the two dashes. */
const positions = (flag: string): number[] => Array.from(flag, (_letter, at) => at).slice(2);
