import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLine } from '../../src/core/jsonrpc/parse.ts';
import { FUZZ_TIMEOUT, fuzz } from '../support/fuzz.ts';
import { isJson } from '../support/json-text.ts';

/** JSON whose objects keep every member, in order. */
type Strict =
  | { readonly members: readonly (readonly [key: string, value: Strict])[] }
  | readonly Strict[]
  | string
  | number
  | boolean
  | null;

/** A reader of its own that loses nothing: JSON.parse has one of two equal keys only. Expects valid JSON. */
function readStrict(text: string): Strict {
  let at = 0;
  const blanks = (): void => {
    while (' \t\r\n'.includes(text[at] ?? 'x')) at++;
  };
  const scalar = (pattern: RegExp): string => {
    const sticky = new RegExp(pattern, 'y');
    sticky.lastIndex = at;
    const [found = ''] = sticky.exec(text) ?? [];
    at += found.length;
    return found;
  };
  const value = (): Strict => {
    blanks();
    const first = text[at];
    if (first === '"') return JSON.parse(scalar(/"(?:[^"\\]|\\.)*"/)) as string;
    if (first === '[') {
      const elements: Strict[] = [];
      at++;
      for (blanks(); text[at] !== ']'; blanks()) {
        if (text[at] === ',') at++;
        elements.push(value());
      }
      at++;
      return elements;
    }
    if (first !== '{') return JSON.parse(scalar(/[^\s,\]}]+/)) as Strict;
    const members: [string, Strict][] = [];
    at++;
    for (blanks(); text[at] !== '}'; blanks()) {
      if (text[at] === ',') at++;
      blanks();
      const key = JSON.parse(scalar(/"(?:[^"\\]|\\.)*"/)) as string;
      blanks();
      at++;
      members.push([key, value()]);
    }
    at++;
    return { members };
  };
  return value();
}

/** Which of the members with a key counts, and which keys are one: what readers disagree about. */
interface Reader {
  readonly name: string;
  readonly isSame: (key: string, wanted: string) => boolean;
  readonly last: boolean;
}

/** As Go's encoding/json compares names: simple case folding, in which U+017F is an s and U+212A a k. */
const goFold = (key: string): string =>
  key
    .replaceAll('\u017f', 's')
    .replaceAll('\u212a', 'k')
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());

const exactly = (key: string, wanted: string): boolean => key === wanted;
const folded = (key: string, wanted: string): boolean => goFold(key) === goFold(wanted);
const READERS: readonly Reader[] = [
  { name: 'first wins', isSame: exactly, last: false },
  { name: 'last wins', isSame: exactly, last: true },
  { name: 'case-insensitive, last wins', isSame: folded, last: true },
  { name: 'case-insensitive, first wins', isSame: folded, last: false },
];

function at(value: Strict | undefined, path: readonly string[], reader: Reader): Strict | undefined {
  let found: Strict | undefined = value;
  for (const wanted of path) {
    if (typeof found !== 'object' || found === null || !('members' in found)) return undefined;
    const matching = found.members.filter(([key]) => reader.isSame(key, wanted));
    found = (reader.last ? matching.at(-1) : matching[0])?.[1];
  }
  return found;
}

const DECIDING = [
  ['jsonrpc'],
  ['id'],
  ['method'],
  ['params'],
  ['result'],
  ['error'],
  ['params', '_meta'],
  ['params', '_meta', 'progressToken'],
  ['params', '_meta', 'io.modelcontextprotocol/protocolVersion'],
];
const OF_METHOD: Readonly<Record<string, readonly string[]>> = {
  'tools/call': ['name', 'arguments'],
  'prompts/get': ['name', 'arguments'],
  'resources/read': ['uri'],
  'notifications/cancelled': ['requestId'],
};

/** Spellings of a key that some reader could take for it, and some that none does. */
const spelled = (key: string): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 12, arbitrary: fc.constant(key) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        key.toUpperCase(),
        `${key.charAt(0).toUpperCase()}${key.slice(1)}`,
        key.replace('s', '\u017f'),
        key.replace('k', '\u212a'),
        `${key} `,
        `x${key}`,
      ),
    },
  );

/** A key as JSON text, some letters of it as escapes. */
const quoted = (key: string): fc.Arbitrary<string> =>
  fc.boolean().map((escaped) => {
    const text = JSON.stringify(key);
    if (!escaped) return text;
    const [first = ''] = key;
    return first === '' ? text : `"\\u${first.charCodeAt(0).toString(16).padStart(4, '0')}${text.slice(2)}`;
  });

const blank = fc.constantFrom('', '', ' ', '\t', '\r');

const memberOf = (key: string, value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(blank, spelled(key).chain(quoted), blank, value, blank)
    .map(([before, name, between, text, after]) => `${before}${name}${between}:${text}${after}`);

function objectOf(members: Readonly<Record<string, fc.Arbitrary<string>>>): fc.Arbitrary<string> {
  const each = Object.entries(members).map(([key, value]) => memberOf(key, value));
  return fc
    .array(fc.oneof(...each), { maxLength: Object.keys(members).length + 2 })
    .map((parts) => `{${parts.join(',')}}`);
}

const scalar = fc.constantFrom(
  '0',
  '""',
  '-1',
  '"a"',
  'null',
  'true',
  '1.0',
  '12345678901234567890',
  '{}',
  '[]',
);
const names = fc.constantFrom('"read"', '"delete"', '""', '0');
const meta = objectOf({
  progressToken: scalar,
  'io.modelcontextprotocol/protocolVersion': fc.constantFrom('"2026-07-28"', '"2025-11-25"', '1'),
});
const params = objectOf({
  name: names,
  arguments: objectOf({ aws_profile: names, Name: names, x: scalar }),
  _meta: meta,
  requestId: scalar,
  uri: names,
});
const methods = fc.constantFrom(
  '"tools/call"',
  '"tools/list"',
  '"prompts/get"',
  '"resources/read"',
  '"notifications/cancelled"',
  '"any"',
  '1',
);
const message = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(methods, params)
      .map(([method, text]) => `{"jsonrpc":"2.0","id":0,"method":${method},"params":${text}}`),
  },
  {
    weight: 2,
    arbitrary: objectOf({
      jsonrpc: fc.constant('"2.0"'),
      id: scalar,
      method: methods,
      params,
      result: scalar,
      error: scalar,
      other: scalar,
    }),
  },
);

/** Text that is JSON in most cases, and close to it in the others. */
const line = fc.oneof(
  { weight: 6, arbitrary: message },
  { weight: 1, arbitrary: fc.array(message, { maxLength: 3 }).map((texts) => `[${texts.join(',')}]`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(message, fc.nat(), fc.constantFrom('', '"', '{', '}', ',', ':', '\\', '\u017f', '\0', '[', '0'))
      .map(([text, place, put]) => {
        const cut = place % (text.length + 1);
        return `${text.slice(0, cut)}${put}${text.slice(cut + 1)}`;
      }),
  },
  { weight: 1, arbitrary: fc.json() },
);

/** Every deciding value, as one reader sees it. */
function seenBy(reader: Reader, json: Strict): string {
  const method = at(json, ['method'], reader);
  const own = typeof method === 'string' ? (OF_METHOD[method] ?? []) : [];
  const paths = [...DECIDING, ...own.map((key) => ['params', key])];
  return JSON.stringify(
    paths.map((path) => [path.join('.'), at(json, path, reader) === undefined, at(json, path, reader)]),
  );
}

describe('a JSON-RPC line', () => {
  it(
    'a JSON-RPC line is a parse error exactly if JSON.parse throws, and no text is changed',
    async () => {
      await fuzz(
        fc.property(line, (text) => {
          const read = readLine(text);
          const isParseError = read.kind === 'invalid' && read.error.reason === 'parse-error';
          expect(isParseError).toBe(!isJson(text));
          if (read.kind === 'message') expect(read.message.text).toBe(text);
        }),
        2_000,
      );
    },
    FUZZ_TIMEOUT,
  );

  it(
    'a JSON-RPC line that is accepted means the same to every reader: case-insensitive, first or last key',
    async () => {
      let taken = 0;
      await fuzz(
        fc.property(line, (text) => {
          const read = readLine(text);
          const messages =
            read.kind === 'message' ? [read.message] : read.kind === 'batch' ? read.elements : [];
          for (const each of messages) {
            if (each.kind === 'invalid') continue;
            taken++;
            const json = readStrict(each.text);
            const [strict, ...others] = READERS.map((reader) => seenBy(reader, json));
            for (const other of others) expect(other).toBe(strict);
          }
        }),
        4_000,
      );
      expect(taken).toBeGreaterThan(100);
    },
    FUZZ_TIMEOUT,
  );

  it(
    'a JSON-RPC line of valid shape is refused only for a key that readers may disagree about',
    async () => {
      await fuzz(
        fc.property(fc.tuple(methods, params), ([method, given]) => {
          const text = `{"jsonrpc":"2.0","id":0,"method":${method},"params":${given}}`;
          const read = readLine(text);
          if (read.kind !== 'invalid' || method === '1') return;
          const json = readStrict(text);
          const keysOf = (path: readonly string[]): string[] => {
            const object = at(json, path, READERS[1] as Reader);
            return typeof object === 'object' && object !== null && 'members' in object
              ? object.members.map(([key]) => goFold(key))
              : [];
          };
          const repeated = [['params'], ['params', '_meta'], ['params', 'arguments']].some((path) => {
            const keys = keysOf(path);
            return new Set(keys).size < keys.length;
          });
          const anotherCase = READERS.some(
            (reader) => seenBy(reader, json) !== seenBy(READERS[1] as Reader, json),
          );
          expect([text, repeated || anotherCase]).toEqual([text, true]);
        }),
        1_000,
      );
    },
    FUZZ_TIMEOUT,
  );
});
