import { describe, expect, it } from 'vitest';
import { bearerOptions, bearerProblems, readCommand } from '../../../src/auth/bearer/options.ts';

const ENV = { TOKEN: 'abc', EMPTY: '', UNEXPANDED: ['$', '{OTHER}'].join('') };

describe('the options of --auth bearer', () => {
  it.each<[string, Record<string, string>, string[]]>([
    ['a variable', { auth: 'bearer', bearerTokenEnv: 'TOKEN' }, []],
    ['a file', { auth: 'bearer', bearerTokenFile: '/t' }, []],
    ['no source with another kind', { auth: 'sigv4' }, []],
    [
      'no source',
      { auth: 'bearer' },
      ['--auth bearer needs one of --bearer-token-env, --bearer-token-file, --bearer-command'],
    ],
    [
      'two sources',
      { auth: 'bearer', bearerTokenFile: '/t', bearerCommand: 'x' },
      ['--bearer-token-file and --bearer-command exclude each other: give one source of the bearer token'],
    ],
    [
      'a source with another kind',
      { auth: 'none', bearerCommand: 'x' },
      ['--bearer-command needs --auth bearer'],
    ],
    [
      'a variable that is not set',
      { auth: 'bearer', bearerTokenEnv: 'EMPTY' },
      ['--bearer-token-env names the environment variable EMPTY, which is not set'],
    ],
    [
      'a variable that the client did not expand',
      { auth: 'bearer', bearerTokenEnv: 'UNEXPANDED' },
      [
        expect.stringContaining(
          '--bearer-token-env names the environment variable UNEXPANDED, which ',
        ) as never,
      ],
    ],
  ])('the options of --auth bearer are checked together: %s', (_what, values, problems) => {
    expect(bearerProblems(values as never, {}, ENV)).toEqual(problems);
  });

  it('a problem names the variable that gave the value', () => {
    const values = { auth: 'sigv4', bearerCommand: 'x' };
    expect(bearerProblems(values, { bearerCommand: 'MCP_PROXY_BEARER_COMMAND' }, {})).toEqual([
      'MCP_PROXY_BEARER_COMMAND needs --auth bearer',
    ]);
  });

  it.each<[string, unknown]>([
    ['gcloud auth print-identity-token', 'gcloud auth print-identity-token'],
    ['["a b","--c"]', ['a b', '--c']],
    [' ', { problem: 'must be a command' }],
    ['[]', { problem: expect.stringContaining('must be a JSON array of strings') }],
    ['["a",1]', { problem: expect.stringContaining('must be a JSON array of strings') }],
    ['[oops', { problem: expect.stringContaining('must be a JSON array of strings') }],
  ])('the command %s is read', (text, command) => {
    expect(readCommand(text)).toEqual(command);
  });

  it('the secrets in a command are known, so that no output shows them', () => {
    const { secrets } = bearerOptions.bearerCommand;
    const shown = (text: string): string[] =>
      (secrets?.(text) ?? []).map(({ start, end }) => text.slice(start, end));
    expect(shown('get --client-secret s3cret --user me --password=p4ss --token-type -v')).toEqual([
      's3cret',
      'p4ss',
    ]);
    expect(shown('["get","--client-secret","s3cret"]')).toEqual(['s3cret']);
  });
});
