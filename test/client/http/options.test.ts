import { describe, expect, it } from 'vitest';
import {
  type ListenerValues,
  listenerOf,
  listenerOptions,
  listenerProblems,
} from '../../../src/client/http/options.ts';
import { type OptionTable, type OptionValues, readOption } from '../../../src/config/option.ts';
import { readAddress } from '../../../src/core/http/listen-address.ts';

const DEFAULTS = Object.fromEntries(
  Object.entries(listenerOptions as OptionTable).map(([key, { fallback }]) => [key, fallback]),
) as OptionValues<typeof listenerOptions>;

const valuesOf = (given: Partial<ListenerValues>): ListenerValues => ({ ...DEFAULTS, ...given });
const problemsOf = (
  given: Partial<ListenerValues>,
  { profiles = 1, from = {} }: { profiles?: number; from?: Record<string, string> } = {},
): string[] => {
  const named = Object.fromEntries(Object.keys(given).map((key) => [key, `--${key}`]));
  return listenerProblems(valuesOf(given), {
    from: { ...named, ...from },
    profiles,
    forStdio: ['lazy', 'maxLine'],
  });
};
const TOKEN = 'a-token-of-enough-characters';

describe('--listen', () => {
  it.each([
    ['127.0.0.1:8080', '127.0.0.1', 8080],
    ['LocalHost:0', 'localhost', 0],
    ['[::1]:8080', '::1', 8080],
    ['0.0.0.0:65535', '0.0.0.0', 65535],
    ['mcp.example.com:443', 'mcp.example.com', 443],
  ])('the address %s is host %s, port %i', (text, host, port) => {
    expect(readAddress(text)).toEqual({ host, port });
  });

  it.each([
    '8080',
    ':8080',
    'localhost',
    'localhost:',
    '::1:8080',
    'a b:1',
    'http://localhost:80',
    'a:65536',
    'u@a:1',
  ])('the address %s is refused', (text) => {
    expect(readAddress(text)).toBeUndefined();
  });
});

describe('--listen-token', () => {
  const read = (value: string) => readOption(listenerOptions.listenToken, [value], 'flag');

  it('a listener token is long and plain', () => {
    expect(read(TOKEN)).toEqual({ value: [TOKEN] });
  });

  it.each(['short', 'with blanks in it, though long', 'mit-Umlauten-äöü-lang-genug'])(
    'the listener token %s is refused, and never shown',
    (value) => {
      const outcome = read(value);
      expect(outcome).toHaveProperty('problem');
      expect(JSON.stringify(outcome)).not.toContain(value);
      // A problem that begins with "must be" is shown with the given value.
      expect('problem' in outcome && outcome.problem.startsWith('must be')).toBe(false);
    },
  );
});

describe('hosts and origins', () => {
  it.each([
    ['allowedHost', 'mcp.example.com', true],
    ['allowedHost', '10.0.0.5:8080', true],
    ['allowedHost', '[::1]:80', true],
    ['allowedHost', '*', true],
    ['allowedHost', 'http://mcp.example.com', false],
    ['allowedHost', 'a/b', false],
    ['allowedOrigin', 'https://app.example.com', true],
    ['allowedOrigin', 'https://App.Example.com', true],
    ['allowedOrigin', 'http://app.example.com:8080', true],
    ['allowedOrigin', '*', true],
    ['allowedOrigin', 'app.example.com', false],
    ['allowedOrigin', 'https://app.example.com/', false],
    ['allowedOrigin', 'https://app.example.com/path', false],
  ] as const)('the value of %s %s: %s', (key, value, fits) => {
    expect('value' in readOption(listenerOptions[key], [value], 'flag')).toBe(fits);
  });
});

describe('the options together', () => {
  it('the listener options have no effect on stdio alone', () => {
    expect(problemsOf({})).toEqual([]);
    expect(problemsOf({ stdio: true })).toEqual([]);
    expect(listenerOf(valuesOf({}))).toBeUndefined();
  });

  it.each([
    'listenToken',
    'allowedHost',
    'maxBody',
    'maxStreams',
    'maxClients',
    'maxHeaders',
    'allowedOrigin',
  ])('the option --%s is refused without a listener', (key) => {
    expect(problemsOf({}, { from: { [key]: `--${key}` } })).toEqual([`--${key} needs --listen`]);
  });

  it.each(['127.0.0.1:80', '127.9.9.9:80', 'localhost:80', '[::1]:80'])(
    'the loopback address %s may be open to all',
    (listen) => {
      expect(problemsOf({ listen })).toEqual([]);
    },
  );

  it.each(['0.0.0.0:80', '[::]:80', '10.0.0.5:80', 'mcp.example.com:80'])(
    'the address %s is refused without a token',
    (listen) => {
      const [problem, ...others] = problemsOf({ listen });
      expect(others).toEqual([]);
      expect(problem).toContain(`--listen ${listen} can be reached from other machines`);
      expect(problem).toContain('--listen-token');
      expect(problemsOf({ listen, listenToken: [TOKEN] })).toEqual([]);
    },
  );

  it('the listener refuses several profiles together with an identity map, and users without names', () => {
    const values = { listen: '127.0.0.1:1', identityMap: 'map.json' };
    const from = { profile: 'AWS_PROFILE', identityMap: '--identity-map' };
    const named = { ...values, listenToken: ['a-token-of-enough-characters'] };
    expect(problemsOf(named, { profiles: 3, from })).toEqual([
      'AWS_PROFILE must name one profile together with --identity-map, whose rules name the profiles of users',
    ]);
    expect(problemsOf(values, { profiles: 1, from })).toEqual([
      '--identity-map needs users with names: set --listen-issuer, --listen-token-file or --listen-token',
    ]);
    expect(problemsOf({ listen: '127.0.0.1:1' }, { profiles: 3, from })).toEqual([]);
  });

  it('the listener refuses options that only a stdio client needs', () => {
    const from = { lazy: '--lazy', maxLine: 'MCP_PROXY_MAX_LINE' };
    const problems = problemsOf({ listen: '127.0.0.1:0' }, { from });
    expect(problems.map((problem) => problem.split(' ', 1)[0])).toEqual(['--lazy', 'MCP_PROXY_MAX_LINE']);
    expect(problemsOf({ listen: '127.0.0.1:0', stdio: true }, { from })).toEqual([]);
  });
});

it.each([
  ['127.0.0.1:80', ['127.0.0.1']],
  ['10.0.0.5:80', ['10.0.0.5']],
  ['[fd00::1]:80', ['[fd00::1]']],
  ['0.0.0.0:80', []],
  ['[::]:80', []],
])('a listener on %s answers to the hosts %j and to allowed ones', (listen, own) => {
  const allowedHost = ['MCP.example.com'];
  expect(listenerOf(valuesOf({ listen, allowedHost }))?.allowedHosts).toEqual([...own, 'mcp.example.com']);
});
