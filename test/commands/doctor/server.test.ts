import { describe, expect, it } from 'vitest';
import {
  checkInitialize,
  checkTools,
  clockFinding,
  reuseFinding,
  sessionClosedFinding,
} from '../../../src/commands/doctor/server.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { sendJson } from '../../support/mcp-answers.ts';
import { errorOf, SessionServer, type SessionServerOptions } from '../../support/mcp-behaviours.ts';
import { type Behaviour, ScriptedServer, type ScriptedServerOptions } from '../../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../../support/signing.ts';
import { converse, settingsFor } from './rig.ts';

interface Scene extends SessionServerOptions {
  readonly behaviour?: Behaviour;
  readonly server?: ScriptedServerOptions;
  readonly argv?: readonly string[];
}

/** The handshake with a server, and what the checks are given after it. */
async function meet({
  behaviour,
  server: options = { verify: signingVerify },
  argv = [],
  ...session
}: Scene = {}) {
  const server = await ScriptedServer.start(behaviour ?? new SessionServer(session).behaviour, options);
  const settings = await settingsFor([server.url, ...signingArgs, '--retries', '0', ...argv], {
    env: signingEnv,
  });
  const conversation = converse(settings);
  const opened = await checkInitialize(conversation);
  const facts = opened.facts ?? { name: '', version: '', protocolVersion: '', offersTools: true };
  return { ...conversation, settings, server, opened: opened.finding, facts };
}

describe('checkInitialize', () => {
  it('checkInitialize reports HTTP status, server, revision and session', async () => {
    expect((await meet()).opened).toEqual({
      check: 'initialize',
      verdict: 'ok',
      detail: 'HTTP 200, scripted 0.0.0, revision 2025-11-25, with a session',
    });
    expect((await meet({ sessionId: false, protocolVersion: '2025-06-18' })).opened.detail).toBe(
      'HTTP 200, scripted 0.0.0, revision 2025-06-18, without a session',
    );
  });

  it("checkInitialize fails with the remedy of the proxy's error if the signature is rejected", async () => {
    const { opened } = await meet({ argv: ['--region', 'us-east-1'] });
    expect(opened).toMatchObject({
      verdict: 'failed',
      detail: 'HTTP 403, auth-rejected (signature)',
      remedy: expect.stringMatching(
        /It was made for service 'execute-api' in region 'us-east-1'; .*region 'eu-west-1' \(--region eu-west-1\)/,
      ),
    });
  });

  it.each<
    [
      what: string,
      status: number,
      headers: Record<string, string>,
      body: string,
      detail: string,
      remedy: RegExp,
    ]
  >([
    [
      'the credentials have expired',
      403,
      {},
      '{"message":"The security token included in the request is expired"}',
      'HTTP 403, auth-rejected (expired)',
      /set new ones in the configuration of your client/,
    ],
    [
      'the policy forbids it',
      403,
      { 'x-amzn-errortype': 'AccessDeniedException' },
      '{"message":"User is not authorized to perform: x"}',
      'HTTP 403, auth-rejected (denied)',
      /no IAM policy allows this/,
    ],
    [
      'a firewall answers',
      403,
      { 'content-type': 'text/html' },
      '<html><title>Blocked</title></html>',
      'HTTP 403, auth-rejected (foreign-page)',
      /firewall/,
    ],
    [
      'the path is wrong',
      404,
      {},
      '{"message":"Not Found"}',
      'HTTP 404, http-status',
      /Check the path of the endpoint URL/,
    ],
    [
      'the server redirects',
      302,
      { location: 'https://other.example/' },
      '',
      'HTTP 302, redirected',
      /redirects to other\.example/,
    ],
    ['the server answers HTTP 500', 500, {}, 'oops', 'HTTP 500, http-status', /The server failed/],
    [
      'the endpoint is not an MCP server',
      200,
      { 'content-type': 'text/html' },
      '<title>Hi</title>',
      'HTTP 200, unusable-answer',
      /Check that the endpoint URL is that of an MCP server/,
    ],
  ])('checkInitialize fails with a remedy if %s', async (_what, status, headers, body, detail, remedy) => {
    const { opened } = await meet({
      behaviour: (_request, response) => void response.writeHead(status, headers).end(body),
      server: {},
    });
    expect(opened).toMatchObject({ verdict: 'failed', detail, remedy: expect.stringMatching(remedy) });
  });

  it("checkInitialize fails with the server's own error text if the server refuses initialize", async () => {
    const { opened } = await meet({
      behaviour: (request, response) => sendJson(response, 200, errorOf(request.rpc.id, -32602, 'not today')),
      server: {},
    });
    expect(opened).toMatchObject({
      verdict: 'failed',
      detail: 'HTTP 200, The server answered with error -32602: not today',
      remedy: expect.stringMatching(/^The server itself refused initialize/),
    });
  });
});

describe('clockFinding', () => {
  const at = (ms: number) => ({
    verify: { ...signingVerify, now: () => new Date(Date.now() + ms) },
  });

  it.each([0, 30_000, -30_000])('clockFinding is ok for a clock that differs by %i ms', async (ms) => {
    const { observations } = await meet({ server: at(ms) });
    expect(clockFinding(observations)).toEqual({
      check: 'clock',
      verdict: 'ok',
      detail: "within a minute of the server's",
    });
  });

  it.each([
    [-20 * 60_000, /^20 min ahead of the server's$/],
    [2 * 3_600_000, /^2 h behind the server's$/],
  ])(
    'clockFinding warns about a clock that differs by %i ms, while the proxy corrects its signatures',
    async (ms, detail) => {
      const { observations, opened } = await meet({ server: at(ms) });
      expect(clockFinding(observations)).toMatchObject({
        verdict: 'warning',
        detail: expect.stringMatching(detail),
        remedy: expect.stringMatching(/^Set this machine's clock \(NTP\)/),
      });
      expect(opened.verdict).toBe('ok');
    },
  );

  it('clockFinding is skipped without an answer or without a Date header', async () => {
    const { observations } = await meet({
      behaviour: (_request, response) => {
        response.sendDate = false;
        response.writeHead(500).end();
      },
      server: {},
    });
    expect(clockFinding(observations)).toMatchObject({
      verdict: 'skipped',
      detail: 'the server sends no Date header',
    });
    const settings = await settingsFor(['http://127.0.0.1/mcp', '--auth', 'none']);
    expect(clockFinding(converse(settings).observations).detail).toBe('needs an answer from the server');
  });
});

describe('checkTools', () => {
  it('checkTools reports the number of tools and pages', async () => {
    const { facts, ...rest } = await meet();
    expect(await checkTools(rest, facts)).toEqual({
      check: 'tools/list',
      verdict: 'ok',
      detail: '5 tools on 1 page',
    });
    const paged = await meet({
      on: {
        'tools/list': (_request, _response, { params, result }) =>
          result(params.cursor === 'b' ? { tools: [] } : { tools: [{ name: 'a' }], nextCursor: 'b' }),
      },
    });
    expect((await checkTools(paged, paged.facts)).detail).toBe('1 tool on 2 pages');
  });

  const remedy = "See the server's log. Clients show no tools until the server can list them.";

  it('checkTools fails if the server answers tools/list with an error or without a list', async () => {
    const scene = await meet({
      on: { 'tools/list': (_request, _response, { error }) => error(-32000, 'database down') },
    });
    expect(await checkTools(scene, scene.facts)).toEqual({
      check: 'tools/list',
      verdict: 'failed',
      detail: 'The server answered with error -32000: database down',
      remedy,
    });
    const odd = await meet({ on: { 'tools/list': (_request, _response, { result }) => result({}) } });
    expect(await checkTools(odd, odd.facts)).toMatchObject({
      detail: 'page 1 of tools/list contains no list of tools',
      remedy,
    });
  });

  it('checkTools fails if tools/list is not complete within its time limit', async () => {
    const scene = await meet({ on: { 'tools/list': () => undefined } });
    const clock = new FakeClock();
    const listing = checkTools({ ...scene, clock }, scene.facts);
    await scene.server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tools/list'));
    await clock.advance(60_000);
    expect(await listing).toMatchObject({ verdict: 'failed', detail: 'not complete within 60 s', remedy });
  });

  it('checkTools is skipped if the server declares no tools capability', async () => {
    const scene = await meet({ capabilities: { prompts: {} } });
    expect(await checkTools(scene, scene.facts)).toMatchObject({
      verdict: 'skipped',
      detail: 'the server declares no tools',
    });
  });
});

describe('reuseFinding', () => {
  it('reuseFinding is ok if the second request reuses the connection', async () => {
    const scene = await meet();
    await checkTools(scene, scene.facts);
    expect(reuseFinding(scene.observations, scene.settings)).toMatchObject({ verdict: 'ok' });
  });

  it('reuseFinding warns if the server closes the connection after each answer', async () => {
    const mcp = new SessionServer();
    const scene = await meet({
      behaviour: (request, response) => {
        response.setHeader('connection', 'close');
        return mcp.behaviour(request, response);
      },
    });
    await checkTools(scene, scene.facts);
    expect(reuseFinding(scene.observations, scene.settings)).toMatchObject({
      verdict: 'warning',
      // initialize, initialized and tools/list.
      detail: '3 connections for sequential requests',
      remedy: expect.stringContaining('Ask its operator to keep connections open.'),
    });
  });

  it('reuseFinding is skipped with --max-keepalive-connections 0', async () => {
    const scene = await meet({ argv: ['--max-keepalive-connections', '0'] });
    expect(reuseFinding(scene.observations, scene.settings)).toMatchObject({
      verdict: 'skipped',
      detail: 'connections are not kept alive (--max-keepalive-connections 0)',
    });
  });
});

describe('sessionClosedFinding', () => {
  async function ended(options: SessionServerOptions) {
    const scene = await meet(options);
    await scene.client.close();
    return sessionClosedFinding(scene.observations);
  }
  const answering = (status: number): SessionServerOptions => ({
    on: { DELETE: (_request, response) => void response.writeHead(status).end() },
  });

  it("sessionClosedFinding reports the server's answer to DELETE", async () => {
    expect(await ended({})).toEqual({ check: 'session closed', verdict: 'ok', detail: 'HTTP 200 to DELETE' });
    expect(await ended(answering(405))).toMatchObject({
      verdict: 'ok',
      detail: 'the server ends sessions itself (HTTP 405 to DELETE)',
    });
    expect(await ended({ sessionId: false })).toMatchObject({ verdict: 'skipped' });
  });

  it('sessionClosedFinding warns if the server answers DELETE with an error', async () => {
    expect(await ended(answering(500))).toMatchObject({
      verdict: 'warning',
      detail: 'HTTP 500 to DELETE',
      remedy: expect.stringMatching(/^The server keeps the session until it expires/),
    });
  });
});
