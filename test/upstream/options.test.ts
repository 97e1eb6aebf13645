import { describe, expect, it } from 'vitest';
import { readOption } from '../../src/config/option.ts';
import { readHeaders, upstreamOptions } from '../../src/upstream/options.ts';

describe('--header', () => {
  it.each<[entry: string, headers: Record<string, string>]>([
    ['X-Tenant: acme', { 'x-tenant': 'acme' }],
    ['x:  padded  ', { x: 'padded' }],
    ['x:', { x: '' }],
    ['x: a: b', { x: 'a: b' }],
    [`x: \${TOKEN}`, { x: 'secret' }],
    [`x: Bearer \${TOKEN}/\${TOKEN}`, { x: 'Bearer secret/secret' }],
    ['x: $TOKEN ${', { x: '$TOKEN ${' }],
  ])('the --header value is read: %s', (entry, headers) => {
    expect(readHeaders([entry], { TOKEN: 'secret' })).toEqual({ headers, problems: [] });
  });

  it('the --header error names unset variables and invalid headers, never a value', () => {
    const { problems } = readHeaders([`x: \${NONE}`, `y: \${LINES}`], { LINES: 'sec\nret' });
    expect(problems).toEqual([
      'names the environment variable NONE, which is not set',
      'has a value for y that no header can carry',
    ]);
  });

  const read = (entry: string) => readOption(upstreamOptions.header, [entry], 'flag');

  it.each([
    'host',
    'Content-Type',
    'content-length',
    'accept',
    'User-Agent',
    'X-Amz-Date',
    'Mcp-Protocol-Version',
    'connection',
    'Last-Event-ID',
    'proxy-authorization',
    'transfer-encoding',
  ])('the --header option must not set %s, which the proxy owns', (name) => {
    expect(read(`${name}: x`)).toEqual({ problem: expect.stringContaining('the proxy owns that header') });
  });

  it.each(['no colon: in name'.replace(':', ''), ': value', 'na me: value', ''])(
    'the --header option must be "name: value", not "%s"',
    (entry) => {
      expect(read(entry)).not.toEqual({ value: [entry] });
    },
  );

  it.each(['x-tenant: a', 'Authorization: Bearer x', 'cookie: a=b', 'x-amzn-trace-id: a'])(
    'the --header option may set %s',
    (entry) => {
      expect(read(entry)).toEqual({ value: [entry] });
    },
  );
});
