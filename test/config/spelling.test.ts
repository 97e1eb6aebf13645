import { expect, it } from 'vitest';
import { didYouMean, similarNames } from '../../src/config/spelling.ts';

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
