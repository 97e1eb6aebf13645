import { describe, expect, it } from 'vitest';
import {
  arrayAt,
  elementsOf,
  findAmbiguousMembers,
  insertMember,
  memberAt,
  membersOf,
  removeMember,
  spliceText,
  valueStartOf,
} from '../../../src/core/jsonrpc/json-spans.ts';
import { arrayText, objectText, valueText } from '../../support/json-text.ts';
import { fc } from '../../support/property.ts';

const withoutSpan = (text: string, start: number, end: number): string =>
  text.slice(0, start) + text.slice(end);

describe('the members of an object', () => {
  it('members of an object are found as JSON.parse finds them, whatever the spelling', () => {
    fc.assert(
      fc.property(objectText, (text) => {
        const members = membersOf(text);
        const built: Record<string, unknown> = Object.fromEntries(
          members.map(({ key, valueSpan }) => [key, JSON.parse(text.slice(valueSpan.start, valueSpan.end))]),
        );
        expect(built).toEqual(JSON.parse(text));
        for (const { key, keySpan } of members) {
          expect(JSON.parse(text.slice(keySpan.start, keySpan.end))).toBe(key);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('members of an object are found in order, duplicates included', () => {
    const text = '{"a":1,"\\u0061":2,"b":{"a":3},"a":4}';
    expect(membersOf(text).map(({ key }) => key)).toEqual(['a', 'a', 'b', 'a']);
    expect(memberAt(text, ['a'])?.valueSpan).toEqual({ start: 34, end: 35 });
  });

  it.each(['[]', '"{}"', '12', 'null', ' [{"a":1}]'])(
    'the value %s has no members, because it is no object',
    (text) => {
      expect(membersOf(text)).toEqual([]);
    },
  );

  it('members of an object include __proto__', () => {
    const text = '{"__proto__":{"id":1},"constructor":2}';
    expect(membersOf(text).map(({ key }) => key)).toEqual(['__proto__', 'constructor']);
    expect(memberAt(text, ['__proto__', 'id'])).toBeDefined();
    expect(memberAt(text, ['id'])).toBeUndefined();
  });

  it('members of an object are found in nesting deeper than any stack', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const [only] = membersOf(`{"deep":${deep}}`);
    expect(only?.valueSpan).toEqual({ start: 8, end: 8 + deep.length });
  });

  it('a member ends where its string ends, for backslash runs of every length', () => {
    for (let run = 0; run < 9; run++) {
      const string = JSON.stringify(`${'\\'.repeat(run)}","id":2,"x":"`);
      const text = `{"first":${string},"id":1}`;
      expect(JSON.parse(text).id).toBe(1);
      const id = memberAt(text, ['id']);
      expect(id && text.slice(id.valueSpan.start, id.valueSpan.end)).toBe('1');
    }
  });
});

describe('repeated deciding keys', () => {
  const single = { keys: ['a', 'b'], inside: { b: { keys: ['a', 'c'], inside: { c: { keys: ['a'] } } } } };

  it.each([
    ['{"a":1,"b":{"a":1,"c":{"a":1,"b":1,"b":2}}}', []],
    ['{"x":1,"x":2,"b":{"b":1,"b":2}}', []],
    ['{"a":{"a":1,"a":2},"b":[{"a":1,"a":2}]}', []],
    ['{"a":1,"\\u0061":2}', ['a']],
    ['{"b":{"a":"\\"","a":[{}]},"a":0,"a":0}', ['b.a', 'a']],
    ['{"b":{"c":{"a":1, "a" : 2}},"b":1}', ['b.c.a', 'b']],
    ['[]', []],
  ])('repeated deciding keys are found in %s', (text, repeated) => {
    expect(findAmbiguousMembers(text, single)).toEqual(repeated.map((key) => ({ key })));
  });

  it('repeated deciding keys are found among any other members', () => {
    fc.assert(
      fc.property(objectText, (text) => {
        const keys = membersOf(text).map(({ key }) => key);
        const again = keys.filter((key, at) => keys.indexOf(key) < at);
        expect(findAmbiguousMembers(text, { keys, foldable: [] })).toEqual(again.map((key) => ({ key })));
      }),
    );
  });
});

describe('a key that equals a deciding key only after case folding', () => {
  /** Every rune that Go's encoding/json folds to an ASCII letter. */
  const spellings = (letter: string): string[] => [
    letter.toLowerCase(),
    letter.toUpperCase(),
    ...({ s: ['\u017f'], k: ['\u212a'] }[letter.toLowerCase()] ?? []),
  ];
  const KEY = 'risk_Sort-9';
  const spelled = fc
    .tuple(...[...KEY].map((letter) => fc.constantFrom(...spellings(letter))))
    .map((all) => all.join(''));

  it('a key that equals a deciding key after case folding is found in every spelling that Go folds to it', () => {
    fc.assert(
      fc.property(spelled, (written) => {
        const expected = written === KEY ? [] : [{ key: KEY, written }];
        const inner = JSON.stringify({ a: 1, [written]: 2 });
        expect(findAmbiguousMembers(inner, { keys: [KEY] })).toEqual(expected);
        expect(findAmbiguousMembers(`{"in":${inner}}`, { keys: [KEY, 'in'] })).toEqual([]);
        const inside = { keys: ['in'], inside: { in: { keys: [KEY] } } };
        expect(findAmbiguousMembers(`{"in":${inner}}`, inside).map(({ key }) => key)).toEqual(
          expected.map(({ key }) => `in.${key}`),
        );
        expect(findAmbiguousMembers(inner, { keys: [KEY], foldable: [] })).toEqual([]);
      }),
    );
  });

  it.each([
    ['\u0131d', 'id'],
    ['\u0130D', 'id'],
    ['a\ufb03x', 'affix'],
    ['A\u{fb00}ix', 'affix'],
    ['id\0', 'id'],
    ['id\0\0\0\0\0\0', 'id'],
  ])(
    'a key that equals a deciding key after case folding is found where it is spelled %s',
    (written, key) => {
      expect(findAmbiguousMembers(JSON.stringify({ [written]: 1 }), { keys: [key] })).toEqual([
        { key, written },
      ]);
    },
  );

  it.each(['ident', 'i d', 'id ', 'i\u200bd', '', 'd'])(
    'the key %j does not equal id after case folding',
    (written) => {
      expect(findAmbiguousMembers(JSON.stringify({ [written]: 1 }), { keys: ['id'] })).toEqual([]);
    },
  );
});

it('the first member of a name is found without reading further', () => {
  fc.assert(
    fc.property(objectText, (text) => {
      for (const { key } of membersOf(text)) {
        const first = membersOf(text).find((member) => member.key === key);
        expect(valueStartOf(text, key)).toBe(first?.valueSpan.start);
      }
      expect(valueStartOf(text, 'a name that is not there')).toBeUndefined();
    }),
  );
  expect(valueStartOf('{"a":{"b":1},"b":2}', 'b', 5)).toBe(10);
});

describe('the elements of an array', () => {
  it('elements of an array are found as JSON.parse finds them', () => {
    fc.assert(
      fc.property(arrayText, (text) => {
        expect(elementsOf(text).map((element) => JSON.parse(element))).toEqual(JSON.parse(text));
      }),
      { numRuns: 500 },
    );
  });

  it.each(['{}', '"[]"', '0'])('the value %s has no elements, because it is no array', (text) => {
    expect(elementsOf(text)).toEqual([]);
  });
});

describe('a path', () => {
  it('a path leads to the last member of its name, as in JSON.parse', () => {
    const text = '{"a":{"b":0},"a":{"b":1, "b": 2}}';
    const member = memberAt(text, ['a', 'b']);
    expect(member && text.slice(member.valueSpan.start, member.valueSpan.end)).toBe('2');
  });

  it.each([
    ['a name that is not there', '{"a":{}}', ['a', 'b']],
    ['a value that is no object', '{"a":"{\\"b\\":1}"}', ['a', 'b']],
    ['an array', '{"a":[{"b":1}]}', ['a', 'b']],
  ])('a path leads nowhere through %s', (_what, text, path) => {
    expect(memberAt(text, path)).toBeUndefined();
  });
});

describe('an edit', () => {
  it('an edit replaces a value and leaves every other byte', () => {
    fc.assert(
      fc.property(objectText, valueText, fc.nat(), (text, value, pick) => {
        const members = membersOf(text);
        fc.pre(members.length > 0);
        const index = pick % members.length;
        const member = members[index];
        if (!member) return;
        const { start, end } = member.valueSpan;
        const edited = spliceText(text, member.valueSpan, value);
        expect(withoutSpan(edited, start, start + value.length)).toBe(withoutSpan(text, start, end));
        const after = membersOf(edited)[index];
        expect(after && edited.slice(after.valueSpan.start, after.valueSpan.end)).toBe(value);
        JSON.parse(edited);
      }),
    );
  });

  it('an edit inserts a member and leaves every other byte', () => {
    fc.assert(
      fc.property(objectText, valueText, (text, value) => {
        const before = membersOf(text);
        const edited = insertMember(text, 0, 'a new key', value);
        expect(JSON.parse(edited)).toEqual({ ...JSON.parse(text), 'a new key': JSON.parse(value) });
        const open = text.indexOf('{') + 1;
        const inserted = `"a new key":${value}${before.length > 0 ? ',' : ''}`;
        expect(edited).toBe(text.slice(0, open) + inserted + text.slice(open));
      }),
    );
  });

  it('an edit removes every member of a name and keeps the others, in their order and spelling', () => {
    fc.assert(
      fc.property(objectText, fc.nat(), (text, pick) => {
        const before = membersOf(text);
        const key = before[pick % Math.max(1, before.length)]?.key ?? 'absent';
        const edited = removeMember(text, key);
        const spell = (of: string) =>
          membersOf(of).map(({ keySpan, valueSpan }) => [
            of.slice(keySpan.start, keySpan.end),
            of.slice(valueSpan.start, valueSpan.end),
          ]);
        JSON.parse(edited);
        expect(spell(edited)).toEqual(spell(text).filter((_member, at) => before[at]?.key !== key));
      }),
    );
  });

  it.each([
    ['{"result":null,"id":0}', '{"id":0}'],
    ['{"id":0, "result" : null }', '{"id":0 }'],
    ['{"id":0,"result":null,"error":{"result":1}}', '{"id":0,"error":{"result":1}}'],
    ['{ "result":null }', '{  }'],
    ['{"result":1,"result":2}', '{}'],
    ['{"r\\u0065sult":1}', '{}'],
  ])('an edit removes result from %s', (text, expected) => {
    expect(removeMember(text, 'result')).toBe(expected);
  });
});

describe('the array at a path', () => {
  it('an array at a path is found with its elements as JSON.parse finds them', () => {
    fc.assert(
      fc.property(arrayText, objectText, (array, other) => {
        const text = `{"a":${other},"list":[0],"a":{"b":${other},"list":${array}},"z":${other}}`;
        const found = arrayAt(text, ['a', 'list']);
        expect(JSON.parse(text.slice(found?.span.start, found?.span.end))).toEqual(JSON.parse(array));
        expect(found?.elements.map(({ start, end }) => JSON.parse(text.slice(start, end)))).toEqual(
          JSON.parse(array),
        );
      }),
    );
  });

  it('the last of several arrays at a path is found, or none if the last value is no array', () => {
    const twice = '{"a":[1],"a":[2,3]}';
    expect(arrayAt(twice, ['a'])?.elements).toEqual([
      { start: 14, end: 15 },
      { start: 16, end: 17 },
    ]);
    expect(arrayAt('{"a":[1],"a":{"b":[2]}}', ['a'])?.elements).toEqual([]);
    expect(arrayAt('{"a":{"b":[1]},"a":2}', ['a', 'b'])).toBeUndefined();
    expect(arrayAt('{"a":1}', ['b'])).toBeUndefined();
  });
});
