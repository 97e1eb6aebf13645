import { describe, expect, it } from 'vitest';
import { Redactor } from '../../../src/core/errors/redact.ts';
import { fc } from '../../support/property.ts';

const clean = (text: string, ...known: string[]): string => {
  const redactor = new Redactor();
  for (const secret of known) redactor.learn(secret);
  return redactor.clean(text);
};

describe('a known secret', () => {
  // As hostile as they come: quotes, backslashes, signs that mean something to regular expressions and to replacements.
  const SECRET = 'wJalr$&XUtn/FE+MI=K7"MD\\ENG';

  it.each([
    ['as it is', SECRET],
    ['in JSON', JSON.stringify({ a: [SECRET] })],
    ['in JSON that is text in JSON', JSON.stringify({ text: JSON.stringify({ a: SECRET }) })],
    ['in a query', `https://h.example/?a=${encodeURIComponent(SECRET)}&b=1`],
    ['twice', `${SECRET} ${SECRET}`],
  ])('a known secret is removed %s', (_what, text) => {
    const cleaned = clean(text, SECRET);
    expect(cleaned).not.toContain('wJalr');
    expect(cleaned).not.toContain('ENG');
    expect(cleaned).toContain('[redacted]');
  });

  it('a known secret is removed everywhere in a line of JSON, which stays JSON', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 12 }), fc.string(), fc.string(), (secret, before, after) => {
        fc.pre(!/^\s|"|\\|redacted/.test(secret) && !`${before}${after}`.includes(secret));
        const line = JSON.stringify({ msg: `${before}${secret}${after}`, deep: [{ [secret]: secret }] });
        const cleaned = clean(line, secret);
        expect(cleaned).not.toContain(JSON.stringify(secret).slice(1, -1));
        JSON.parse(cleaned);
      }),
    );
  });

  it('a cookie is removed, displaces no credentials, and is no word of a log', () => {
    const redactor = new Redactor();
    redactor.learn(SECRET);
    for (let n = 0; n < 1_000; n++) redactor.learn(`cookie-number-${n}`, { brief: true });
    for (const word of ['initialize', 'session not found 1', 'short-1'])
      redactor.learn(word, { brief: true });
    expect(redactor.clean(`cookie-number-999 ${SECRET}`)).toBe('[redacted] [redacted]');
    expect(redactor.clean('initialize: session not found 1, short-1')).toBe(
      'initialize: session not found 1, short-1',
    );
  });

  it('a known secret is not removed if it is as short as a word', () => {
    expect(clean('a token is short', 'token')).toBe('a token is short');
  });

  it('the 64 newest of many known secrets are remembered', () => {
    const secrets = Array.from({ length: 200 }, (_, at) => `secret-number-${at}"end`);
    const redactor = new Redactor();
    for (const secret of secrets) redactor.learn(secret);
    const gone = secrets.filter((secret) => redactor.clean(secret) === '[redacted]');
    expect(gone).toEqual(secrets.slice(-64));
  });

  it('a known secret stays remembered when it is learned again', () => {
    const redactor = new Redactor();
    redactor.learn('the-first-secret');
    for (let at = 0; at < 63; at++) redactor.learn(`other-secret-${at}`);
    redactor.learn('the-first-secret');
    redactor.learn('one-more-secret');
    expect(redactor.clean('the-first-secret')).toBe('[redacted]');
  });
});

describe('a likely secret', () => {
  const TOKEN = `IQoJb3JpZ2luX2VjE${'Ab1/+='.repeat(20)}`;
  const AUTHORIZATION =
    'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE12345678/20260102/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0123456789abcdef0123456789abcdef';

  it.each([
    ['an Authorization header', AUTHORIZATION, ['AKIDEXAMPLE', '0123456789abcdef']],
    [
      'a signed URL',
      'https://h/?X-Amz-Signature=abcdef&X-Amz-Security-Token=tok&X-Amz-Credential=AK%2F1',
      ['abcdef', 'tok', 'AK%2F1'],
    ],
    ['a bearer token', 'Bearer eyJhbGciOiJub25l.eyJ9.', ['eyJ']],
    ['basic credentials', 'Proxy-Authorization: Basic dXNlcjpwYXNz', ['dXNlcjpwYXNz']],
    ['a key id', 'the key ASIAIOSFODNN7EXAMPLE is unknown', ['ASIAIOSFODNN7EXAMPLE']],
    ['a session token on its own', `token ${TOKEN} has expired`, [TOKEN]],
    ['a proxy’s password', 'connect to http://user:pa55w0rd@proxy:8080 failed', ['pa55w0rd']],
    ['a cookie in headers', '{"set-cookie":"a=s3cret; Path=/","x":1}', ['s3cret']],
    [
      'a field of credentials',
      '{"SecretAccessKey":"s3cret","SessionToken":"t0ken","Version":1}',
      ['s3cret', 't0ken'],
    ],
    ['a session id', '{"mcp-session-id" : "0123-4567"}', ['0123-4567']],
    ['a value with escaped quotes', '{"cookie":"a=\\"s3cret\\"; b=t0ken","x":1}', ['s3cret', 't0ken']],
    [
      'a line of ~/.aws/credentials',
      'aws_secret_access_key = s3cret/x+y\naws_session_token=t0ken',
      ['s3cret', 't0ken'],
    ],
    [
      'a line of the environment',
      'AWS_SECRET_ACCESS_KEY=s3cret AWS_SESSION_TOKEN=t0ken',
      ['s3cret', 't0ken'],
    ],
    [
      'a dictionary of Python',
      "{'x-amz-security-token': 't0ken', 'cookie': 'a=s3cret'}",
      ['t0ken', 's3cret'],
    ],
    ['a bearer token of letters', 'authorization: Bearer abcdefghijkl', ['abcdefghijkl']],
    ['a header line', 'x-amz-security-token: t0ken\r\nhost: h', ['t0ken']],
  ])('a likely secret in %s is removed in every spelling', (_what, text, secrets) => {
    for (const spelling of [text, JSON.stringify(text), JSON.stringify({ text: JSON.stringify({ text }) })]) {
      const cleaned = clean(spelling);
      for (const secret of secrets) expect(cleaned).not.toContain(secret);
    }
  });

  it('a likely secret is removed from JSON within JSON, and its neighbours stay', () => {
    const inner = JSON.stringify({ SessionToken: 's3cret "quoted" x', Version: 1 });
    const middle = JSON.stringify({ content: inner, after: 'kept' });
    for (const text of [inner, middle, JSON.stringify({ text: middle, last: 'kept' })]) {
      const cleaned = clean(text);
      expect(cleaned).not.toContain('s3cret');
      expect(cleaned).not.toContain('quoted');
      expect(() => JSON.parse(cleaned)).not.toThrow();
      expect(cleaned).toContain('Version');
    }
  });

  it.each([
    'No answer to tools/call within 300 s (--tool-timeout).',
    '{"level":30,"type":"session.opened","profile":"dev","protocolVersion":"2025-11-25"}',
    'https://id.lambda-url.eu-west-1.on.aws/mcp?qualifier=DEFAULT',
    'The security token included in the request is expired',
    'Signature expired: 20260102T030405Z is now earlier than 20260102T031405Z',
    'aws sso login --profile dev',
    '--header must not set authorization: requests are signed (--auth none sends them unsigned)',
    'The server uses Basic authentication, or Bearer authentication.',
    'Authorization: missing',
    'x-amz-security-token: the header is missing',
    'the cookie: none of them was accepted',
    'set another way of authorization: OAuth most likely (HTTP 403)',
  ])('a text without secrets stays unchanged: %s', (text) => {
    expect(clean(text)).toBe(text);
  });

  it('the search for likely secrets takes time linear in the length of the text', () => {
    // Patterns that look back over such runs again and again would take minutes for these.
    for (const run of ['\\', '"', '://a:', 'Bearer ', 'authorization ', 'IQoJ', ' ', '"cookie\\']) {
      expect(clean(run.repeat(200_000)).length).toBeGreaterThan(0);
    }
  });
});
