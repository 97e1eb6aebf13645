import { describe, expect, it } from 'vitest';
import { bearerChallengeIn, challengesIn } from '../../src/auth/www-authenticate.ts';

const read = (header: string) =>
  challengesIn(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe('a WWW-Authenticate header', () => {
  it.each<[string, string, unknown]>([
    ['nothing', '', []],
    ['a scheme alone', 'Bearer', [['bearer', {}]]],
    [
      'a scheme with parameters',
      'Bearer realm="a, b", error="invalid_token", Scope="x y"',
      [['bearer', { realm: 'a, b', error: 'invalid_token', scope: 'x y' }]],
    ],
    ['an escaped quote', 'Bearer realm="a \\"b\\""', [['bearer', { realm: 'a "b"' }]]],
    [
      'two schemes in one header',
      'Basic realm=x, Bearer resource_metadata="https://h/x"',
      [
        ['basic', { realm: 'x' }],
        ['bearer', { resource_metadata: 'https://h/x' }],
      ],
    ],
    [
      'a token68',
      'Negotiate abc/def==, Bearer',
      [
        ['negotiate', {}],
        ['bearer', {}],
      ],
    ],
    ['a parameter without scheme', 'realm="x", Bearer', [['bearer', {}]]],
    ['an open quote', 'Bearer realm="abc', [['bearer', {}]]],
  ])('a WWW-Authenticate header with %s is read', (_what, header, expected) => {
    expect(read(header)).toEqual(expected);
  });

  it('a header of 100 kB is read in no time, to a bound', () => {
    expect(challengesIn('"\\'.repeat(50_000))).toEqual([]);
    expect(challengesIn('Bearer '.repeat(20_000)).length).toBeLessThanOrEqual(16);
  });

  it('the Bearer challenge is found among others', () => {
    expect(bearerChallengeIn('Basic realm="x", bearer error="e"')?.get('error')).toBe('e');
    expect(bearerChallengeIn('Basic realm="Bearer"')).toBeUndefined();
  });
});
