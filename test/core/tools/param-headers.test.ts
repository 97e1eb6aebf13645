import { describe, expect, it } from 'vitest';
import type { Message } from '../../../src/core/jsonrpc/message.ts';
import { derivedHeaders, headerValueOf, paramHeadersOf } from '../../../src/core/tools/param-headers.ts';
import { messageOf, requestOf } from '../../support/make-call.ts';
import { fc } from '../../support/property.ts';

const REVISION = '2026-07-28';
const toolWith = (inputSchema: unknown) => ({ name: 'the-tool', inputSchema });
const toolWithProperties = (properties: unknown) => toolWith({ type: 'object', properties });
const headed = (name: unknown, type: unknown = 'string') => ({ type, 'x-mcp-header': name });

const derived = (message: Message, tool?: Record<string, unknown>, claim = REVISION) => {
  if (message.kind === 'response') throw new Error('a response is posted without derived headers');
  return derivedHeaders(message, claim, tool);
};
const derivedOfCall = (args: unknown, tool: Record<string, unknown>) => {
  const headers = derived(requestOf('tools/call', { name: 'the-tool', arguments: args }), tool);
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('mcp-param-')));
};

/** As a server reads it. */
const decoded = (value: string): string => {
  const [, marked] = /^=\?base64\?(.*)\?=$/.exec(value) ?? [];
  return marked === undefined ? value : Buffer.from(marked, 'base64').toString('utf8');
};

describe('the value of a derived header', () => {
  it.each([
    ['us west 1', 'us west 1'],
    ['us-west1', 'us-west1'],
    ['Hello, 世界', '=?base64?SGVsbG8sIOS4lueVjA==?='],
    [' padded ', '=?base64?IHBhZGRlZCA=?='],
    ['line1\nline2', '=?base64?bGluZTEKbGluZTI=?='],
    ['=?base64?literal?=', '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?='],
    ['=?base64?', '=?base64?'],
    ['=?BASE64?literal?=', '=?BASE64?literal?='],
    ['', '=?base64??='],
    ['a\tb', '=?base64?YQli?='],
    ['\u007f', '=?base64?fw==?='],
    ['a\r\nset-cookie: b', '=?base64?YQ0Kc2V0LWNvb2tpZTogYg==?='],
  ])('the header value of the string %j is %j', (value, header) => {
    expect(headerValueOf(value)).toBe(header);
  });

  it.each([
    [42, '42'],
    [-7, '-7'],
    [0, '0'],
    [-0, '0'],
    [1.5, '1.5'],
    [9007199254740991, '9007199254740991'],
    [true, 'true'],
    [false, 'false'],
  ])('the header value of %j is %j', (value, header) => {
    expect(headerValueOf(value)).toBe(header);
  });

  it.each([
    [null],
    [undefined],
    [{}],
    [[]],
    [['a']],
    [9007199254740992],
    [-9007199254740992],
    [1e21],
    [Number.POSITIVE_INFINITY],
  ])('the value %j gives no header', (value) => {
    expect(headerValueOf(value)).toBeUndefined();
  });

  it('the header value of any string can be sent, and is decoded to the same string', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), (text) => {
        const value = headerValueOf(text) ?? '';
        expect(value).toMatch(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/);
        expect(decoded(value)).toBe(text);
      }),
    );
  });
});

describe('the annotations of a tool', () => {
  it('annotations of a tool are read at any depth, in the order of the schema', () => {
    const tool = toolWithProperties({
      region: headed('Region'),
      where: {
        type: 'object',
        properties: { count: headed('Count', 'integer'), deep: headed('!#$', 'boolean') },
      },
      plain: { type: 'string' },
    });
    expect(paramHeadersOf(tool)).toEqual({
      headers: [
        { path: ['region'], name: 'Region', type: 'string' },
        { path: ['where', 'count'], name: 'Count', type: 'integer' },
        { path: ['where', 'deep'], name: '!#$', type: 'boolean' },
      ],
    });
    expect(paramHeadersOf(tool)).toBe(paramHeadersOf(tool));
  });

  it.each([
    ['no schema', {}],
    ['a schema that is no object', toolWith(true)],
    ['a list for a schema', toolWith([headed('A')])],
    ['properties that are no object', toolWith({ properties: [headed('A')] })],
    ['a property of that name', toolWithProperties({ 'x-mcp-header': { type: 'string' } })],
    ['the key in a default', toolWithProperties({ a: { type: 'object', default: headed('A') } })],
    ['the key in a const', toolWithProperties({ a: { const: headed('A') } })],
    ['the key in an enum', toolWithProperties({ a: { enum: [headed('')] } })],
    ['the key in examples', toolWithProperties({ a: { examples: [headed('')] } })],
    ['the key beside the schema', { ...toolWith({}), 'x-mcp-header': '' }],
    ['a property named like a keyword', toolWithProperties({ items: { type: 'string' } })],
  ])('annotations of a tool are absent with %s', (_what, tool) => {
    expect(paramHeadersOf(tool)).toEqual({ headers: [] });
  });

  it.each([
    ['an empty name', toolWithProperties({ a: headed('') }), /^a: x-mcp-header "" is no name/],
    ['a name that is no string', toolWithProperties({ a: headed(7) }), /7 is no name/],
    ['null for a name', toolWithProperties({ a: headed(null) }), /null is no name/],
    ['a blank in the name', toolWithProperties({ a: headed('My Region') }), /"My Region" is no name/],
    ['a colon in the name', toolWithProperties({ a: headed('A:') }), /no name/],
    ['a line end in the name', toolWithProperties({ a: headed('A\r\nB: c') }), /no name/],
    ['a name beyond ASCII', toolWithProperties({ a: headed('Größe') }), /no name/],
    ['the type number', toolWithProperties({ a: headed('A', 'number') }), /on the type "number"/],
    ['the type object', toolWithProperties({ a: headed('A', 'object') }), /on the type "object"/],
    ['the type array', toolWithProperties({ a: headed('A', 'array') }), /on the type "array"/],
    ['the type null', toolWithProperties({ a: headed('A', 'null') }), /on the type "null"/],
    [
      'several types',
      toolWithProperties({ a: headed('A', ['string', 'null']) }),
      /on the type \["string","null"\]/,
    ],
    ['no type', toolWithProperties({ a: { 'x-mcp-header': 'A' } }), /on no type/],
    ['a name twice', toolWithProperties({ a: headed('Region'), b: headed('REGION') }), /^b: .*that of a$/],
    [
      'a name twice in the depth',
      toolWithProperties({ a: headed('A'), b: { properties: { c: headed('a') } } }),
      /^b\.c: .*that of a$/,
    ],
    ['one at the root', toolWith({ ...headed('A'), properties: {} }), /^the schema: .*no path of properties/],
    [
      'one on an object',
      toolWithProperties({ a: { ...headed('A', 'object'), properties: {} } }),
      /on the type "object"/,
    ],
  ])('annotations of a tool are invalid with %s', (_what, tool, fault) => {
    expect(paramHeadersOf(tool)).toEqual({ fault: expect.stringMatching(fault) });
  });

  const alone = 'items contains additionalProperties unevaluatedProperties not if then else propertyNames';
  const listed = 'prefixItems oneOf anyOf allOf items';
  const named = '$defs definitions patternProperties dependentSchemas';
  const unreachable: Record<string, unknown>[] = [
    ...alone.split(' ').map((keyword) => ({ [keyword]: headed('A') })),
    ...listed.split(' ').map((keyword) => ({ [keyword]: [{}, headed('A')] })),
    ...named.split(' ').map((keyword) => ({ [keyword]: { some: headed('A') } })),
    { items: { properties: { a: headed('A') } } },
  ];

  it.each(unreachable)('annotations of a tool are invalid in %j', (schema) => {
    const fault = { fault: expect.stringMatching(/no path of properties leads/) };
    expect(paramHeadersOf(toolWithProperties({ list: schema }))).toEqual(fault);
    expect(paramHeadersOf(toolWith({ properties: { fine: headed('B') }, ...schema }))).toEqual(fault);
  });

  it.each([
    { $ref: '#/shared/a~1b', shared: { 'a/b': headed('A') } },
    { $ref: '#/one', one: { $ref: '#/two/1' }, two: [{}, headed('A')] },
  ])('annotations of a tool are invalid if only a $ref leads to one, as in %j', (schema) => {
    expect(paramHeadersOf(toolWith(schema))).toHaveProperty('fault');
  });

  it('annotations of a tool are valid if properties reach them, whatever else names them', () => {
    const tool = toolWithProperties({ b: { $ref: '#/properties/a' }, a: headed('A'), c: { $ref: '#' } });
    expect(paramHeadersOf(tool)).toEqual({ headers: [{ path: ['a'], name: 'A', type: 'string' }] });
    const nowhere = toolWithProperties({
      a: { $ref: '#/no/such' },
      b: { $ref: 'https://example.com/schema' },
    });
    expect(paramHeadersOf(nowhere)).toEqual({ headers: [] });
  });

  it('annotations of a tool are found in schemas of any depth and width', () => {
    const depth = 20_000;
    const deep = JSON.parse(
      `${'{"properties":{"a":'.repeat(depth)}{"type":"string","x-mcp-header":"A"}${'}}'.repeat(depth)}`,
    );
    expect(paramHeadersOf(toolWith(deep))).toMatchObject({ headers: [{ path: { length: depth } }] });
    const wide = Object.fromEntries(Array.from({ length: 200_000 }, (_, at) => [`p${at}`, {}]));
    expect(paramHeadersOf(toolWithProperties({ ...wide, last: headed('A') }))).toMatchObject({
      headers: [{ path: ['last'] }],
    });
  });
});

describe('the headers of a message', () => {
  it('the headers of a message name its revision and its method', () => {
    expect(derived(requestOf('server/discover'), undefined, 'v999.0.0')).toEqual({
      'mcp-protocol-version': 'v999.0.0',
      'mcp-method': 'server/discover',
    });
    expect(derived(messageOf({ method: 'notifications/Anything' }))).toEqual({
      'mcp-protocol-version': REVISION,
      'mcp-method': 'notifications/Anything',
    });
  });

  it.each([
    ['tools/call', { name: 'a b' }, 'a b'],
    ['tools/call', { name: '' }, '=?base64??='],
    ['prompts/get', { name: 'größe' }, '=?base64?Z3LDtsOfZQ==?='],
    ['resources/read', { uri: 'file:///a', name: 'no' }, 'file:///a'],
    ['tasks/get', { taskId: 'task' }, 'task'],
    ['tasks/update', { taskId: 'task' }, 'task'],
    ['tasks/cancel', { taskId: 'task' }, 'task'],
    ['tools/call', { name: 7 }, undefined],
    ['tools/call', {}, undefined],
    ['tools/call', undefined, undefined],
    ['resources/subscribe', { uri: 'file:///a' }, undefined],
    ['unknown/method', { name: 'a' }, undefined],
  ])('the headers of %s with %j have the name %j', (method, params, name) => {
    expect(derived(requestOf(method, params))['mcp-name']).toBe(name);
  });

  it.each([['a\r\nb'], ['größe'], [' a'], [''], ['\t']])(
    'the method %j cannot be sent as a header',
    (method) => {
      const refused = expect.objectContaining({ reason: 'invalid-request', code: -32600, sent: 'no' });
      expect(() => derived(requestOf(method))).toThrow(refused);
      expect(() => derived(requestOf('ping'), undefined, method)).toThrow(refused);
    },
  );

  it('the headers of a message contain the annotated arguments that it has', () => {
    const tool = toolWithProperties({
      a: headed('A'),
      b: { type: 'object', properties: { c: headed('B-C', 'integer'), d: headed('D', 'boolean') } },
      e: headed('E'),
    });
    expect(derivedOfCall({ a: 'x', b: { c: 0, d: false }, e: null, f: 'no' }, tool)).toEqual({
      'mcp-param-a': 'x',
      'mcp-param-b-c': '0',
      'mcp-param-d': 'false',
    });
    expect(derivedOfCall(undefined, tool)).toEqual({});
    expect(derivedOfCall({ b: 'no object' }, tool)).toEqual({});
    expect(derivedOfCall([], tool)).toEqual({});
  });

  it('the headers of a message contain no argument of an invalid tool or of another method', () => {
    const faulty = toolWithProperties({ a: headed('A'), b: headed('B', 'number') });
    expect(derivedOfCall({ a: 'x', b: 1 }, faulty)).toEqual({});
    const good = toolWithProperties({ a: headed('A') });
    expect(derived(requestOf('prompts/get', { name: 'p', arguments: { a: 'x' } }), good)).not.toHaveProperty(
      'mcp-param-a',
    );
  });

  it('the headers of a message are read only from arguments that it contains', () => {
    const inherited = {
      toString: { type: 'object', properties: { name: headed('N') } },
      constructor: headed('C'),
    };
    const tool = toolWithProperties({ ...inherited, ['__proto__']: headed('P') });
    expect(derivedOfCall({}, tool)).toEqual({});
    const own = JSON.parse('{"toString":{"name":"n"},"constructor":"c","__proto__":"p"}');
    expect(derivedOfCall(own, tool)).toMatchObject({ 'mcp-param-n': 'n', 'mcp-param-c': 'c' });
  });

  it('the header of an annotated argument equals the body', () => {
    const leaf = fc.oneof(fc.string({ unit: 'binary' }), fc.maxSafeInteger(), fc.boolean());
    const args = fc.dictionary(fc.string(), fc.oneof(leaf, fc.dictionary(fc.string(), leaf)));
    fc.assert(
      fc.property(args, (given) => {
        let next = 0;
        const expected: Record<string, string> = {};
        const schemaOf = (value: unknown): unknown => {
          if (typeof value === 'object' && value !== null) {
            const properties = Object.entries(value).map(([key, inner]) => [key, schemaOf(inner)]);
            return { type: 'object', properties: Object.fromEntries(properties) };
          }
          const name = `h${next++}`;
          expected[`mcp-param-${name}`] = String(value);
          return headed(name, typeof value === 'number' ? 'integer' : typeof value);
        };
        const headers = derivedOfCall(given, toolWith(schemaOf(given)));
        const read = Object.entries(headers).map(([name, value]) => [name, decoded(value)]);
        expect(Object.fromEntries(read)).toEqual(expected);
      }),
    );
  });
});
