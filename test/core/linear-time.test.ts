import { describe, expect, it } from 'vitest';
import { withoutLastDots } from '../../src/core/errors/errors.ts';
import { Redactor } from '../../src/core/errors/redact.ts';
import { canonicalText, jsonText } from '../../src/core/jsonrpc/canonical-json.ts';
import { firstLine, plainText } from '../../src/core/system/plain-text.ts';
import { matchesGlob } from '../../src/core/tools/glob.ts';
import { judgeRefusal, messageIn, withoutRequestEchoes } from '../../src/endpoint/aws-errors.ts';

const refusal = (body: string): unknown =>
  judgeRefusal({ status: 403, errorType: 'InvalidSignatureException', contentType: '', body });

const redactor = new Redactor();

/** Text in which a pattern finds many beginnings and no end. */
const PIECES = [
  ' ',
  '.',
  '<',
  '<title',
  '<Message>',
  '"',
  '"message": "',
  '\\',
  '\\"cookie\\":',
  'The Canonical String for this request should have been ',
  'correct service ',
  'expected ',
  'x-amz-security-token ',
  'Signature=',
  'Bearer ',
  "cookie: a'a-a ",
  '://a:',
  '\u001b[;',
  '\u001b];a',
  'Unexpected ',
  'session',
] as const;

type Work = (text: string) => unknown;

const WORK: readonly (readonly [string, Work])[] = [
  ['the words of an error body', (text) => messageIn({ body: text, errorType: '' })],
  ['echoes of a request', withoutRequestEchoes],
  ['a refusal', refusal],
  ['the end of a sentence', withoutLastDots],
  ['secrets', (text) => redactor.clean(text)],
  ['text for a terminal', (text) => plainText(text)],
  ['one line for a terminal', firstLine],
];

/** The least of a few runs, in milliseconds of CPU: what else the machine does is not counted. */
function costOf(work: Work, text: string): number {
  const costs = Array.from({ length: 3 }, () => {
    const before = process.cpuUsage();
    work(text);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  });
  return Math.min(...costs);
}

describe('linear time', () => {
  it.each(WORK)('linear time is enough for foreign text: %s', (_what, work) => {
    const slow = PIECES.filter((piece) => {
      // A quadratic pattern takes seconds for the second text.
      const text = `${piece.repeat(Math.ceil(64_000 / piece.length))}!`;
      return costOf(work, text) > 250;
    });
    expect(slow).toEqual([]);
  });

  it('linear time is enough to match globs against long names', () => {
    const name = 'a'.repeat(1_000_000);
    for (const glob of ['*a*a*a*a*b', `*${'a'.repeat(200)}b*`, '*b?a*', `a*${'a'.repeat(100)}*b`]) {
      expect(costOf(() => matchesGlob(glob, name), '')).toBeLessThan(1_000);
      expect(matchesGlob(glob, name)).toBe(false);
    }
  });
});

it('JSON that is nested more deeply than the stack is written, sorted or not', () => {
  const depth = 200_000;
  const text = `${'{"b":1,"a":['.repeat(depth)}${']}'.repeat(depth)}`;
  const value: unknown = JSON.parse(text);
  expect(jsonText(value) === text).toBe(true);
  expect(canonicalText(value).startsWith('{"a":[{"a":[')).toBe(true);
  expect(canonicalText(value)).toHaveLength(text.length);
});
