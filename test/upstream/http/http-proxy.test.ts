import { describe, expect, it } from 'vitest';
import { proxyChoice, proxyFor } from '../../../src/upstream/http/http-proxy.ts';

const proxyOf = (url: string, env: NodeJS.ProcessEnv, named?: string): string | undefined =>
  proxyFor(new URL(url), { url: named, env })?.href;

const P = 'http://proxy.corp:3128/';
const Q = 'http://other.corp:8080/';

describe('the HTTP proxy', () => {
  it.each<[what: string, env: NodeJS.ProcessEnv, named: string | undefined, proxy: string | undefined]>([
    ['none without settings', {}, undefined, undefined],
    ['that of HTTPS_PROXY', { HTTPS_PROXY: P }, undefined, P],
    ['that of https_proxy first', { HTTPS_PROXY: Q, https_proxy: P }, undefined, P],
    ['that of HTTPS_PROXY where https_proxy is empty', { HTTPS_PROXY: P, https_proxy: '' }, undefined, P],
    ['that of HTTP_PROXY where there is no other', { HTTP_PROXY: P }, undefined, P],
    ['that of HTTPS_PROXY before HTTP_PROXY', { HTTP_PROXY: Q, HTTPS_PROXY: P }, undefined, P],
    ['that of --proxy first of all', { HTTPS_PROXY: Q, https_proxy: Q }, P, P],
    ['read without a scheme', { HTTPS_PROXY: 'proxy.corp:3128' }, undefined, P],
    ['taken with https', { HTTPS_PROXY: 'https://proxy.corp' }, undefined, 'https://proxy.corp/'],
    ['none for the hosts of NO_PROXY', { HTTPS_PROXY: P, NO_PROXY: 'example.com' }, undefined, undefined],
    ['none for them with --proxy either', { NO_PROXY: 'example.com' }, P, undefined],
  ])('the HTTP proxy is %s', (_what, env, named, proxy) => {
    expect(proxyOf('https://mcp.example.com/mcp', env, named)).toBe(proxy);
  });

  it('the HTTP proxy for http is that of HTTP_PROXY only', () => {
    expect(proxyOf('http://mcp.example.com/', { HTTPS_PROXY: Q, HTTP_PROXY: P })).toBe(P);
    expect(proxyOf('http://mcp.example.com/', { HTTPS_PROXY: Q })).toBeUndefined();
  });

  it.each([
    'http://localhost:1/',
    'https://localhost/',
    'http://127.0.0.1/',
    'http://127.1.2.3:80/',
    'http://[::1]:9/',
  ])('the HTTP proxy is never used for %s', (url) => {
    expect(proxyOf(url, { HTTP_PROXY: P, HTTPS_PROXY: P }, P)).toBeUndefined();
  });

  it.each([
    [
      'socks5://proxy.corp:1080',
      'the HTTP proxy setting for https:// is a socks5:// address, and only http:// and https:// are supported',
    ],
    ['http://user:secret@:bad', 'the HTTP proxy setting for https:// is no URL'],
    ['not a url', 'the HTTP proxy setting for https:// is no URL'],
  ])('an invalid HTTP proxy is refused without its password: %s', (value, message) => {
    expect(() => proxyOf('https://example.com/', { HTTPS_PROXY: value })).toThrow(new Error(message));
  });
});

describe('NO_PROXY', () => {
  it.each([
    ['*', 'https://a.example.com/', true],
    ['example.com', 'https://example.com/', true],
    ['example.com', 'https://a.b.example.com/', true],
    ['.example.com', 'https://a.example.com/', true],
    ['.example.com', 'https://example.com/', true],
    ['*.example.com', 'https://a.example.com/', true],
    ['EXAMPLE.com', 'https://Example.COM/', true],
    ['example.com', 'https://example.com./', true],
    ['example.com', 'https://badexample.com/', false],
    ['example.com', 'https://example.com.evil.net/', false],
    ['a.example.com', 'https://example.com/', false],
    ['other.com,example.com', 'https://example.com/', true],
    ['other.com example.com', 'https://example.com/', true],
    [' , other.com ,\texample.com, ', 'https://example.com/', true],
    ['', 'https://example.com/', false],
    [',', 'https://example.com/', false],
    ['.', 'https://example.com/', false],
    ['example.com:443', 'https://example.com/', true],
    ['example.com:8443', 'https://example.com/', false],
    ['example.com:8443', 'https://example.com:8443/', true],
    ['example.com:80', 'http://example.com/', true],
    ['10.0.0.1', 'https://10.0.0.1/', true],
    ['10.0.0.1', 'https://10.0.0.11/', false],
    ['fd00::1', 'https://[fd00::1]/', true],
    ['[fd00::1]', 'https://[fd00::1]/', true],
    ['[fd00::1]:8443', 'https://[fd00::1]:8443/', true],
    ['[fd00::1]:8443', 'https://[fd00::1]/', false],
    ['fd00::2', 'https://[fd00::1]/', false],
  ])('NO_PROXY=%s exempts %s: %s', (noProxy, url, exempt) => {
    const proxy = proxyOf(url, { HTTPS_PROXY: P, HTTP_PROXY: P, NO_PROXY: noProxy });
    expect(proxy === undefined).toBe(exempt);
  });

  it('NO_PROXY yields to no_proxy', () => {
    const env = { HTTPS_PROXY: P, NO_PROXY: 'example.com', no_proxy: 'other.com' };
    expect(proxyOf('https://example.com/', env)).toBe(P);
  });
});

describe('the choice of an HTTP proxy', () => {
  const choice = (env: NodeJS.ProcessEnv, named?: string, url = 'https://mcp.example.com/mcp') =>
    proxyChoice(new URL(url), { url: named, env });

  it('the choice of an HTTP proxy names its setting', () => {
    expect(choice({})).toEqual({ kind: 'none' });
    expect(choice({ HTTPS_PROXY: Q }, P)).toEqual({ kind: 'proxy', url: new URL(P), from: '--proxy' });
    expect(choice({ HTTPS_PROXY: P, https_proxy: '' })).toMatchObject({ from: 'HTTPS_PROXY' });
    expect(choice({ http_proxy: P })).toMatchObject({ from: 'http_proxy' });
    expect(choice({ HTTPS_PROXY: P, no_proxy: '.example.com' })).toEqual({
      kind: 'exempt',
      from: 'no_proxy',
    });
    expect(choice({ HTTPS_PROXY: P }, P, 'http://127.0.0.1/')).toEqual({ kind: 'loopback' });
  });
});
