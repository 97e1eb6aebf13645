import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { send } from '../support/http-client.ts';
import { AUDIENCE, makeKey, startIssuer } from '../support/issuer.ts';
import { type Listening, openSession, startListening } from '../support/listening.ts';
import type { Rpc } from '../support/mcp-answers.ts';
import { OtlpReceiver } from '../support/otlp-receiver.ts';
import { makeTempHome } from '../support/temp-home.ts';

const PING = { jsonrpc: '2.0', id: '', method: 'ping' };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const METADATA = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp';

const codeOf = ({ error }: Rpc): unknown => (error as { code?: unknown } | undefined)?.code;

const asUser =
  ({ ask }: Pick<Listening, 'ask'>, token: string): Listening['ask'] =>
  (question) =>
    ask({ ...question, headers: { ...bearer(token), ...question.headers } });

describe('--listen-issuer', () => {
  it('access tokens are checked, combine with static tokens, and name their users in access log and spans', async () => {
    const issuer = await startIssuer();
    const { home } = await makeTempHome();
    const [tokens, log] = [join(home, 'tokens'), join(home, 'access.log')];
    await writeFile(tokens, 'alice=a-static-token-of-alice\n');
    const collector = await OtlpReceiver.start();
    const listening = await startListening({
      args: [
        ...['--listen-issuer', issuer.url, '--listen-audience', AUDIENCE, '--listen-scope', 'mcp:read'],
        ...['--listen-token-file', tokens, '--access-log', log],
      ],
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '50' },
    });
    const { ask, url, server, bin } = listening;
    const statusOf = async (token: string) => {
      const { status, headers, json } = await ask({ headers: bearer(token), body: PING });
      return [status, headers['www-authenticate'], codeOf(json)];
    };

    // Nothing is read from the issuer before a token arrives.
    expect((await ask({ body: PING })).headers['www-authenticate']).toBe(
      `Bearer scope="mcp:read", resource_metadata="${METADATA}"`,
    );
    expect(issuer.requests).toEqual([]);
    const { origin } = new URL(url);
    for (const path of ['', '/mcp']) {
      const found = await send(`${origin}/.well-known/oauth-protected-resource${path}`, { method: 'GET' });
      expect([found.status, found.json]).toEqual([
        200,
        {
          resource: AUDIENCE,
          authorization_servers: [issuer.url],
          bearer_methods_supported: ['header'],
          scopes_supported: ['mcp:read'],
        },
      ]);
    }

    const token = await issuer.token();
    const alice = asUser(listening, token);
    const headers = await openSession(alice);
    await alice({
      headers,
      body: { jsonrpc: '2.0', id: -1, method: 'tools/call', params: { name: 'echo' } },
    });
    const fixed = asUser(listening, 'a-static-token-of-alice');
    await fixed({ headers: await openSession(fixed), body: { jsonrpc: '2.0', id: 0, method: 'tools/list' } });
    expect(server.requests.every((one) => one.headers.authorization?.startsWith('AWS4-HMAC-SHA256'))).toBe(
      true,
    );

    const before = server.requests.length;
    const unlike = async (key: string, changes = {}) =>
      (await makeKey(key)).sign({ ...JSON.parse(atob(token.split('.')[1] ?? '')), ...changes });
    const none = `${btoa('{"alg":"none"}')}.${token.split('.')[1]}.`;
    for (const refused of [none, await unlike('first'), await unlike('second'), 'a-wrong-static-token']) {
      expect(await statusOf(refused)).toEqual([
        401,
        expect.stringMatching(
          /^Bearer error="invalid_token", error_description="[^"]+", scope=.*resource_metadata=/,
        ),
        -31022,
      ]);
    }
    expect(await statusOf(await issuer.token({ scope: 'other', sub: 'bob' }))).toEqual([
      403,
      expect.stringContaining('error="insufficient_scope"'),
      -31022,
    ]);
    const foreign = await ask({ headers: { ...bearer(token), origin: 'https://evil.example' }, body: PING });
    expect([foreign.status, foreign.headers['www-authenticate']]).toEqual([403, undefined]);
    expect(server.requests.length).toBe(before);
    // One reading for the first token, and none for the invented key id so soon after it.
    expect(issuer.requests).toEqual(['/.well-known/oauth-authorization-server', '/keys']);

    await issuer.close();
    expect(await openSession(asUser(listening, await issuer.token({ sub: 'carol' })))).toHaveProperty(
      'mcp-session-id',
    );

    // Lines are held for a moment; the end writes them.
    bin.kill('SIGTERM');
    await bin.exit();
    const lines = (await readFile(log, 'utf8')).trim().split('\n');
    const named = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(named.find(({ method }) => method === 'tools/call')).toMatchObject({ token: 'user:alice' });
    expect(named.find(({ method }) => method === 'tools/list')).toMatchObject({ token: 'alice' });
    expect(named.find((line) => line.status === 403 && line.token)).toMatchObject({ token: 'user:bob' });
    const span = collector.spans.find(({ name, kind }) => name === 'tools/call echo' && kind === 2);
    expect(span?.attributes['enduser.id']).toBe('user:alice');
    expect([...lines, bin.stderr].join('\n')).not.toContain(token.slice(-20));
  });

  it('an issuer that cannot be reached is a prompt 503 before its keys are known', async () => {
    const issuer = await startIssuer();
    issuer.answer = () => ({ status: 502, text: '<html>' });
    const listening = await startListening({
      args: ['--listen-issuer', issuer.url, '--listen-audience', AUDIENCE],
    });
    const alice = asUser(listening, await issuer.token());
    const answers = await Promise.all([0, '', -1].map((id) => alice({ body: { ...PING, id } })));
    for (const { status, headers, json } of answers) {
      expect([status, headers['retry-after'], codeOf(json)]).toEqual([503, '5', -31028]);
      expect(headers).not.toHaveProperty('www-authenticate');
    }
    await listening.bin.stderrMatching(
      /cannot be read: no usable metadata .*502.*"listener\.issuer-unreachable"/,
    );
    expect(issuer.requests.length).toBe(2);
  });
});
