import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { configSchema, readConfig } from '../../src/config/config-values.ts';
import { OPTIONS } from '../../src/settings.ts';

const read = (document: unknown, name?: string) => readConfig(document, OPTIONS, name);

const DOCUMENT = {
  $schema: 'x',
  endpoint: 'https://a.example/mcp',
  'max-connections': 8,
  lazy: true,
  timeout: '2m',
  endpoints: {
    work: { endpoint: 'https://b.example/mcp', profile: ['work', 'my dev'], 'max-connections': 2 },
    other: { endpoint: 'https://c.example/mcp', lazy: false },
  },
};

describe('readConfig', () => {
  it('readConfig returns the general settings, or those of a named endpoint before them', () => {
    const texts = { maxConnections: ['8'], lazy: ['true'], timeout: ['2m'] };
    expect(read(DOCUMENT)).toEqual({ texts, endpoint: 'https://a.example/mcp', problems: [] });
    expect(read(DOCUMENT, 'work')).toEqual({
      texts: { ...texts, profile: ['work', 'my dev'], maxConnections: ['2'] },
      endpoint: 'https://b.example/mcp',
      problems: [],
    });
  });

  it.each<[document: unknown, name: string | undefined, problems: string[]]>([
    [[], undefined, ['must contain a JSON object']],
    [{ endpoints: [] }, undefined, ['endpoints must be an object']],
    [{ endpoints: { a: 7 } }, undefined, ['endpoints.a must be an object']],
    [{ 'max-conections': 1 }, undefined, ['max-conections is not an option; did you mean max-connections?']],
    [{ maxConnections: 1 }, undefined, ['maxConnections is not an option; did you mean max-connections?']],
    [{ config: 'x' }, undefined, ['config is not an option']],
    [{ 'env-file': 'x' }, undefined, ['env-file is not an option']],
    [{ endpoint: 1 }, undefined, ['endpoint must be text']],
    [{ lazy: 'true' }, undefined, ['lazy must be true or false']],
    [{ 'max-connections': true }, undefined, ['max-connections must be a number, or text such as "30s"']],
    [{ region: '' }, undefined, ['region must be text']],
    [{ profile: [] }, undefined, ['profile must be text, or a list of texts']],
    [{ profile: ['a', 7] }, undefined, ['profile must be text, or a list of texts']],
    [{ endpoints: { a: { lazy: 1 } } }, undefined, ['endpoints.a.lazy must be true or false']],
    [{}, 'work', ['has no endpoint "work"; there are none']],
    [
      { endpoints: { work: { endpoint: 'x' } } },
      'wrok',
      ['has no endpoint "wrok"; there are: work; did you mean work?'],
    ],
    [{ endpoints: { work: {} } }, 'work', ['endpoints.work has no endpoint']],
    [{}, 'constructor', ['has no endpoint "constructor"; there are none']],
  ])('readConfig reports the problem of %j with the name %j', (document, name, problems) => {
    expect(read(document, name).problems).toEqual(problems);
  });
});

it('the schema of the configuration file accepts what readConfig accepts', () => {
  const validate = new Ajv2020({ allowUnionTypes: true }).compile(configSchema(OPTIONS) as object);
  expect(validate(DOCUMENT), JSON.stringify(validate.errors)).toBe(true);
  for (const wrong of [{ x: 1 }, { lazy: 'true' }, { endpoints: { a: {} } }, { config: 'x' }])
    expect(validate(wrong)).toBe(false);
});
