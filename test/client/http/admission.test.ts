import { describe, expect, it } from 'vitest';
import { admissionRefusal, type RequestHead } from '../../../src/client/http/admission.ts';
import { accepts } from '../../../src/core/http/accept.ts';
import { isHostAllowed, isOriginAllowed } from '../../../src/core/http/allowed-site.ts';

const RULES = { allowedHosts: [], allowedOrigins: [], maxBodyBytes: 1_000, path: '/mcp' };
const HEADERS = {
  host: 'localhost:8080',
  accept: 'application/json, text/event-stream',
  'content-type': 'application/json',
};

const head = (
  changes: Partial<RequestHead> = {},
  headers: Record<string, string | undefined> = {},
): RequestHead => ({
  method: 'POST',
  path: '/mcp',
  hostCount: 1,
  authorized: true,
  ...changes,
  headers: { ...HEADERS, ...headers },
});

describe('a Host', () => {
  it.each([
    ['localhost', true],
    ['LOCALHOST:8080', true],
    ['127.0.0.1:1', true],
    ['127.1.2.3', true],
    ['[::1]:8080', true],
    ['evil.example', false],
    ['localhost.evil.example', false],
    ['evil.example:80@localhost', false],
    ['localhost@evil.example', false],
    ['127.0.0.1.evil.example', false],
    ['0.0.0.0', false],
    ['', false],
    [undefined, false],
    ['localhost/x', false],
    ['::1', false],
  ])('the Host %s is a loopback name: %s', (host, allowed) => {
    expect(isHostAllowed(host, [])).toBe(allowed);
  });

  it.each([
    ['mcp.example.com', ['mcp.example.com'], true],
    ['MCP.example.com:80', ['mcp.example.com'], true],
    ['mcp.example.com:80', ['mcp.example.com:80'], true],
    ['mcp.example.com:81', ['mcp.example.com:80'], false],
    ['mcp.example.com', ['mcp.example.com:80'], false],
    ['a.mcp.example.com', ['mcp.example.com'], false],
    ['anything', ['*'], true],
    ['', ['*'], false],
    ['[fd00::1]:80', ['[fd00::1]'], true],
  ])('the Host %s is admitted by the rule %j: %s', (host, rules, allowed) => {
    expect(isHostAllowed(host, rules)).toBe(allowed);
  });
});

describe('an Origin', () => {
  it.each([
    ['http://localhost:6274', [], true],
    ['https://127.0.0.1', [], true],
    ['http://[::1]:80', [], false],
    ['http://[::1]:8080', [], true],
    ['http://evil.example', [], false],
    ['http://localhost.evil.example', [], false],
    ['http://localhost@evil.example', [], false],
    ['null', [], false],
    ['file://localhost', [], false],
    ['', [], false],
    ['http://localhost/path', [], false],
    ['https://app.example.com', ['https://app.example.com'], true],
    ['https://APP.example.com', ['https://app.example.com'], true],
    ['http://app.example.com', ['https://app.example.com'], false],
    ['https://app.example.com:8443', ['https://app.example.com'], false],
    ['null', ['*'], true],
  ])('the Origin %s is admitted by %j: %s', (origin, rules, allowed) => {
    expect(isOriginAllowed(origin, rules)).toBe(allowed);
  });
});

describe('Accept', () => {
  it.each([
    [undefined, true],
    ['*/*', true],
    ['text/*', true],
    ['application/json, text/event-stream', true],
    ['TEXT/Event-Stream;q=0.5', true],
    ['text/event-stream;q=0', false],
    ['text/event-stream;q=0.000, application/json', false],
    ['application/json', false],
    ['*/*, text/event-stream;q=0', false],
    ['text/*;q=0, text/event-stream', true],
    ['*/*;q=0', false],
    ['', false],
  ])('the Accept header %s accepts event streams: %s', (header, taken) => {
    expect(accepts(header, 'text/event-stream')).toBe(taken);
  });
});

describe('admitted requests', () => {
  it.each([
    ['a POST', head()],
    [
      'a POST with parameters in its content type',
      head({}, { 'content-type': 'Application/JSON; charset=utf-8' }),
    ],
    ['a POST with the Accept of curl', head({}, { accept: '*/*' })],
    ['a GET of a stream', head({ method: 'GET' }, { 'content-type': undefined })],
    ['a POST that takes JSON only', head({}, { accept: 'application/json' })],
    ['a POST that takes events only', head({}, { accept: 'text/event-stream' })],
    ['a POST without Accept', head({}, { accept: undefined })],
    ['the path with a slash at its end', head({ path: '/mcp/' })],
    ['a DELETE', head({ method: 'DELETE' }, { accept: undefined })],
    ['a page on loopback', head({}, { origin: 'http://localhost:6274' })],
    [
      'a preflight request of a page on loopback',
      head({ method: 'OPTIONS' }, { origin: 'http://localhost:1' }),
    ],
    ['a body as long as allowed', head({}, { 'content-length': '1000' })],
  ])('the listener admits %s', (_what, request) => {
    expect(admissionRefusal(request, RULES)).toBeUndefined();
  });

  it('the listener with a token admits its owners, and preflight requests, which browsers send without it', () => {
    const stranger = { authorized: false };
    const question = head({ ...stranger, method: 'OPTIONS' }, { origin: 'http://localhost' });
    expect(admissionRefusal(question, RULES)).toBeUndefined();
    expect(admissionRefusal(head(stranger), RULES)).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Bearer' },
    });
  });
});

describe('refused requests', () => {
  it.each([
    [403, 'a foreign Host', head({}, { host: 'evil.example' })],
    [403, 'two Hosts', head({ hostCount: 2 })],
    [403, 'no Host', head({ hostCount: 0 }, { host: undefined })],
    [403, 'a foreign page', head({}, { origin: 'https://evil.example' })],
    [
      403,
      'a preflight request of a foreign page',
      head({ method: 'OPTIONS' }, { origin: 'https://evil.example' }),
    ],
    [404, 'another path', head({ path: '/' })],
    [404, 'a path below', head({ path: '/mcp/x' })],
    [404, 'two slashes at the end', head({ path: '/mcp//' })],
    [404, 'OAuth discovery', head({ method: 'GET', path: '/.well-known/oauth-protected-resource' })],
    [405, 'another method', head({ method: 'PUT' })],
    [405, 'HEAD', head({ method: 'HEAD' })],
    [406, 'a GET of something else', head({ method: 'GET' }, { accept: 'application/json' })],
    [406, 'a POST that takes no answer', head({}, { accept: 'text/html' })],
    [415, 'another type', head({}, { 'content-type': 'text/plain' })],
    [415, 'no type', head({}, { 'content-type': undefined })],
    [415, 'a compressed body', head({}, { 'content-encoding': 'gzip' })],
    [413, 'a body that says how much too long it is', head({}, { 'content-length': '1001' })],
  ])('the listener answers %i to %s', (status, _what, request) => {
    const refusal = admissionRefusal(request, RULES);
    expect(refusal?.status).toBe(status);
    expect(refusal?.error.sent).toBe('no');
  });

  it('the listener checks the source of a request before its target, so that strangers learn nothing', () => {
    const stranger = { host: 'evil.example' };
    for (const changes of [{ path: '/x' }, { method: 'PUT' }, { method: 'GET' }]) {
      expect(admissionRefusal(head({ ...changes, authorized: false }, stranger), RULES)?.status).toBe(403);
    }
  });

  it("the listener's refusal names the remedy", () => {
    expect(admissionRefusal(head({}, { host: 'evil.example' }), RULES)?.error.message).toContain(
      '--allowed-host',
    );
    expect(admissionRefusal(head({}, { origin: 'http://evil.example' }), RULES)?.error.message).toContain(
      '--allowed-origin',
    );
    expect(admissionRefusal(head({ path: '/' }), RULES)?.error.message).toContain('/mcp');
    expect(admissionRefusal(head({ method: 'PUT' }), RULES)?.headers).toEqual({ allow: 'GET, POST, DELETE' });
  });
});
