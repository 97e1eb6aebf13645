import { expect, it } from 'vitest';
import { COMMANDS } from '../../src/command-table.ts';
import { flagOf, type OptionTable } from '../../src/config/option.ts';
import { OPTIONS } from '../../src/settings.ts';

/** Help is also read one row at a time: in .env.example, by grep, and in the findings of doctor. */
const REFERENCES = [
  /\b(?:they|them|these|those)\b/i,
  /^(?:that|this|it|its|such|also|then|more)\b/i,
  /\b(?:above|after|at|before|below|by|for|from|in|of|on|over|to|with|within) that\b/i,
  /\b(?:as above|see above|likewise|ditto)\b/i,
];

/** The words of a help text that refer to another row. */
const referencesIn = (text: string): string[] =>
  REFERENCES.flatMap((pattern) => pattern.exec(text)?.[0].trim() ?? []);

it.each([
  ['that time; then one attempt decides', 'that'],
  ['time before that in which sessions are replaced', 'before that'],
  ['what they are asked, in this order', 'they'],
  ['longest time for each of these', 'these'],
  ['longest wait in that queue', 'in that'],
  ['more headers to pass', 'more'],
])('the check of help texts detects the reference in "%s"', (text, reference) => {
  expect(referencesIn(text)).toContain(reference);
});

it('no help text of an option refers to another row', () => {
  const tables: OptionTable[] = [OPTIONS, ...Object.values(COMMANDS).map(({ options }) => options)];
  const found = tables.flatMap((table) =>
    Object.entries(table).flatMap(([key, { help, defaultText = '' }]) =>
      [help, defaultText].flatMap((text) =>
        referencesIn(text).map((reference) => `${flagOf(key)}: "${reference}" in "${text}"`),
      ),
    ),
  );
  expect(found).toEqual([]);
});
