import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { openSession, startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { startRelayed } from '../support/relayed.ts';
import type { RecordedRequest } from '../support/scripted-server.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';
import { tokenGate } from '../support/token-server.ts';

const AUTO = ['--auth', 'auto'];
const TOKEN = 'a-token-of-the-gateway-0123456789';
const WITH_TOKEN = { args: [...AUTO, '--bearer-token-env', 'T'], env: { T: TOKEN } };

/** The kinds of credentials in the server's log, in order. */
const kindsIn = (requests: readonly RecordedRequest[]): string[] =>
  requests.map(({ headers: { authorization = 'none' } }) => authorization.split(' ', 1)[0] ?? '');

describe('--auth auto', () => {
  it('--auth auto signs after the first refusal of a server that accepts SigV4 only, and logs it once', async () => {
    const { bin, server } = await startRelayed({
      ...WITH_TOKEN,
      args: [...WITH_TOKEN.args, '--log-level', 'info'],
    });
    expect(await bin.initialize({}, 0)).toMatchObject({ id: 0, result: {} });
    const ids = ['', -1, 7];
    for (const answer of await Promise.all(ids.map((id) => bin.request('tools/list', {}, id))))
      expect(answer).toMatchObject({ result: {} });
    const kinds = kindsIn(server.requests);
    expect(kinds[0]).toBe('none');
    expect(new Set(kinds.slice(1))).toEqual(new Set(['AWS4-HMAC-SHA256']));
    const lines = bin.stderr.split('\n').filter((line) => line.includes('auth.derived'));
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '{}')).toMatchObject({
      kind: 'sigv4',
      because: 'HTTP 403 with the AWS error MissingAuthenticationToken',
    });
  });

  it('--auth auto sends the configured token to a server that accepts it only, and never a signature', async () => {
    const gate = tokenGate([TOKEN]);
    const { bin, server } = await startRelayed({ ...WITH_TOKEN, verify: false, before: gate.before });
    expect(await bin.initialize({}, 0)).toMatchObject({ id: 0, result: {} });
    expect(await bin.request('tools/list', {}, '')).toMatchObject({ result: {} });
    // A token that is refused later does not lead to another kind.
    gate.accepted.clear();
    expect((await bin.request('ping', {}, -1)).error).toMatchObject({ data: { reason: 'auth-rejected' } });
    const kinds = kindsIn(server.requests);
    expect(kinds[0]).toBe('none');
    expect(new Set(kinds.slice(1))).toEqual(new Set(['Bearer']));
  });

  it('--auth auto asks for a login where the server demands OAuth and no token is configured', async () => {
    const challenge = 'Bearer resource_metadata="http://127.0.0.1:1/.well-known/oauth-protected-resource"';
    const { bin, server } = await startRelayed({
      args: AUTO,
      verify: false,
      before: tokenGate([], challenge).before,
    });
    expect((await bin.initialize({}, 0)).error).toMatchObject({ data: { reason: 'login-required' } });
    expect(new Set(kindsIn(server.requests))).toEqual(new Set(['none']));
  });

  it('--auth auto sends no credential to a server that accepts several kinds: one error names the options', async () => {
    const { bin, server } = await startRelayed({
      ...WITH_TOKEN,
      verify: false,
      before: tokenGate([], 'Bearer realm="x", AWS4-HMAC-SHA256 realm="y"').before,
    });
    expect((await bin.initialize({}, -1)).error).toMatchObject({
      data: { reason: 'auth-rejected', mayHaveRun: false, httpStatus: 401 },
      message: expect.stringContaining('Choose one with --auth sigv4, sigv4a, oauth or bearer.'),
    });
    expect(kindsIn(server.requests)).toEqual(['none']);
  });

  it('--auth auto at the listener opens a session with credentials where only tools/call needs them', async () => {
    const { ask, server } = await startListening({
      ...WITH_TOKEN,
      verify: false,
      before: (next) => (request, response) => {
        if (request.rpc.method !== 'tools/call' || request.headers.authorization)
          return next(request, response);
        sendJson(response, 403, { message: 'Missing Authentication Token' });
      },
    });
    const headers = await openSession(ask, 0);
    const list = { jsonrpc: '2.0', id: '', method: 'tools/list' };
    expect((await ask({ headers, body: list })).json).toMatchObject({ id: '', result: {} });
    const call = { jsonrpc: '2.0', id: -1, method: 'tools/call', params: { name: 'echo', arguments: {} } };
    // The session belongs to nobody, and is not continued with credentials.
    expect((await ask({ headers, body: call })).status).toBe(404);
    const signed = await openSession(ask, 1);
    expect((await ask({ headers: signed, body: call })).json).toMatchObject({ id: -1, result: {} });
    expect(kindsIn(server.of('tools/call')).at(-1)).toBe('AWS4-HMAC-SHA256');
  });

  it('doctor reports the kind that --auth auto has derived, and its credentials', async () => {
    const { server } = await startRelayed();
    const doctor = BinDriver.start({
      args: ['doctor', server.url, ...signingArgs, ...AUTO],
      env: { ...signingEnv, AWS_ENDPOINT_URL_STS: 'nowhere' },
      anyStdout: true,
    });
    expect((await doctor.exit()).code).toBe(0);
    const report = doctor.lines.join('\n');
    expect(report).toContain('none yet: the answer to the first request without credentials decides');
    expect(report).toContain('sigv4, derived from HTTP 403 with the AWS error MissingAuthenticationToken');
    expect(report).toContain('of the default chain, from the environment');
  });
});
