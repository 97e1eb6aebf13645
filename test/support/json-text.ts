import { fc } from './property.ts';

/**
 * JSON as text, in spellings that no serializer writes: odd whitespace, escapes in keys, braces in
 * strings, runs of backslashes, numbers that a double cannot hold.
 */

const blank = fc
  .array(fc.constantFrom(' ', '\t', '\r', '\n'), { maxLength: 2 })
  .map((blanks) => blanks.join(''));

const piece = fc.oneof(
  fc.constantFrom('\\"', '\\\\', '\\\\\\"', '\\/', '\\n', '\\u0069', '\\u0022', '\\ud83d\\ude00'),
  fc.constantFrom('{', '}', '[', ']', ',', ':', ' ', '\u2028', 'é', '😀', 'id', 'a'),
);

export const stringText = fc.array(piece, { maxLength: 6 }).map((pieces) => `"${pieces.join('')}"`);

export const numberText = fc.oneof(
  fc.integer().map(String),
  fc.constantFrom('0', '-0', '-1', '1.0', '1e400', '-1.5E-3', '9007199254740993', '12345678901234567890'),
);

const separated = (open: string, items: readonly string[], close: string, pad: string): string =>
  `${open}${pad}${items.join(`${pad},${pad}`)}${pad}${close}`;

const texts = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(stringText, numberText, fc.constantFrom('true', 'false', 'null')),
    tie('array'),
    tie('object'),
  ),
  array: fc
    .tuple(fc.array(tie('value'), { maxLength: 4 }), blank)
    .map(([items, pad]) => separated('[', items, ']', pad)),
  object: fc
    .tuple(fc.array(fc.tuple(stringText, blank, tie('value')), { maxLength: 4 }), blank)
    .map(([members, pad]) =>
      separated(
        '{',
        members.map(([key, gap, value]) => `${key}${gap}:${gap}${value}`),
        '}',
        pad,
      ),
    ),
}));

const padded = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(blank, text, blank).map((parts) => parts.join(''));

export const valueText = texts.value;
export const objectText = padded(texts.object);
export const arrayText = padded(texts.array);

/** Legal JSON that parse and stringify would change. */
export const FRAGILE =
  '{"big":9007199254740993, "float":1.0,"inf":1e400,"b":1,"a":2,"dup":1,"dup":2,"s":"\\u0041"}';

export const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};
