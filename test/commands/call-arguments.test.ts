import { describe, expect, it } from 'vitest';
import { pairOf, typedValue, withPairs } from '../../src/commands/call-arguments.ts';

const SCHEMA = {
  type: 'object',
  properties: {
    text: { type: 'string' },
    maybe: { type: ['string', 'null'] },
    count: { type: 'integer' },
    ratio: { type: 'number' },
    deep: { type: 'boolean' },
    filter: { $ref: '#/$defs/Filter' },
    tags: { type: 'array', items: { type: 'string' } },
    ids: { type: 'array', items: { type: 'integer' } },
    either: { anyOf: [{ type: 'integer' }, { type: 'string' }] },
    color: { enum: ['red', 'blue'] },
    anything: {},
  },
  $defs: { Filter: { type: 'object', properties: { a: { type: 'integer' } } } },
};

const added = (base: string, ...words: string[]) => withPairs(base, words.map(pairOf), SCHEMA);

describe('withPairs', () => {
  it.each<[word: string, json: string]>([
    ['text=12', '{"text":"12"}'],
    ['text=', '{"text":""}'],
    ['text=a=b', '{"text":"a=b"}'],
    ['text="quoted"', '{"text":"\\"quoted\\""}'],
    ['text=null', '{"text":"null"}'],
    ['maybe=null', '{"maybe":"null"}'],
    ['count=12345678901234567890', '{"count":12345678901234567890}'],
    ['count=-0', '{"count":-0}'],
    ['ratio=1.0', '{"ratio":1.0}'],
    ['ratio=2', '{"ratio":2}'],
    ['deep=true', '{"deep":true}'],
    ['filter={"a" : 1.0}', '{"filter":{"a" : 1.0}}'],
    ['tags=["a"]', '{"tags":["a"]}'],
    ['tags=a', '{"tags":["a"]}'],
    ['ids=7', '{"ids":[7]}'],
    ['either=7', '{"either":7}'],
    ['either=seven', '{"either":"seven"}'],
    ['color=red', '{"color":"red"}'],
    ['anything=7', '{"anything":7}'],
    ['anything=x', '{"anything":"x"}'],
    ['unknown=false', '{"unknown":false}'],
    ['__proto__=1', '{"__proto__":1}'],
  ])('the word %s becomes %s by the schema', (word, text) => {
    expect(added('{}', word)).toEqual({ text });
  });

  it.each<[words: string[], problem: string]>([
    [['count=geheim'], 'count must be an integer'],
    [['count=1.5'], 'count must be an integer'],
    [['count='], 'count must be an integer'],
    [['ratio="1"'], 'ratio must be a number'],
    [['deep=yes'], 'deep must be true or false'],
    [['filter=[]'], 'filter must be a JSON object'],
    [['ids=a', 'ids=1'], 'ids must be an integer'],
    [['text=a', 'text=b'], 'text is given more than once, and its type is not array'],
  ])('the words %j have the problem: %s', (words, problem) => {
    expect(added('{}', ...words)).toEqual({ problems: [problem] });
  });

  it('a repeated name forms an array', () => {
    expect(added('{}', 'tags=a', 'tags=b,c', 'ids=1', 'ids=2')).toEqual({
      text: '{"ids":[1,2],"tags":["a","b,c"]}',
    });
  });

  it('a pair replaces the argument of its name and leaves the other text as it is', () => {
    expect(added('{ "n" : 1.0, "text":"old" }', 'text=new', 'count=3')).toEqual({
      text: '{"count":3, "n" : 1.0, "text":"new" }',
    });
  });
});

it('typedValue takes JSON as JSON and other text as text where the schema allows any type', () => {
  expect(typedValue('{"a":1}', [])).toEqual({ json: '{"a":1}' });
  expect(typedValue('{a:1}', [])).toEqual({ json: '"{a:1}"' });
});
