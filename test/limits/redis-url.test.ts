import { describe, expect, it } from 'vitest';
import { readRedisUrl } from '../../src/limits/redis-url.ts';

describe('the URL of --limits', () => {
  it.each([
    ['redis://localhost', { kind: 'single', tls: false, nodes: [{ host: 'localhost', port: 6379 }] }],
    ['rediss://me:p%40ss@[::1]:1/2', { tls: true, username: 'me', password: 'p@ss', database: 2 }],
    [
      'redis+cluster://a:1,b:2?prefix=x',
      {
        kind: 'cluster',
        prefix: 'x',
        nodes: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
        ],
      },
    ],
    ['redis+sentinel://a,b/main/3', { kind: 'sentinel', primary: 'main', database: 3 }],
  ])('the limits URL %s is read as %o', (url, target) => {
    expect(readRedisUrl(url)).toMatchObject({ target });
  });

  it.each([
    'http://a',
    'redis://',
    'redis://a,b',
    'redis://a:99999',
    'redis://a/x',
    'redis+sentinel://a',
    'redis+cluster://a/1',
    'redis://a?user=b',
    'redis://a?prefix=',
    'redis://%zz@a',
  ])('the limits URL %s is refused without repeating it', (url) => {
    expect(readRedisUrl(url)).toEqual({ problem: expect.stringMatching(/^must /) });
  });
});
