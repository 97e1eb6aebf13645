import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { issuedKeys, profileLines } from '../support/accounts.ts';
import { startAwsStandIns } from '../support/aws-stand-ins.ts';
import { open, send } from '../support/http-client.ts';
import { AUDIENCE, startIssuer } from '../support/issuer.ts';
import { type Listening, openSession, startListening } from '../support/listening.ts';
import type { Rpc } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';
import type { RecordedRequest } from '../support/scripted-server.ts';
import { signingVerify, TEST_KEY } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';

const ROLE = 'arn:aws:iam::123456789012:role';
const TOKEN = { ci: 'a-static-token-of-ci-jobs', bob: 'a-static-token-of-bob-the-builder' };

const keyOf = ({ headers }: RecordedRequest): string =>
  /Credential=([^/]+)/.exec(String(headers.authorization))?.[1] ?? 'nobody';

const as =
  ({ ask }: Pick<Listening, 'ask'>, token: string): Listening['ask'] =>
  (question) =>
    ask({ ...question, headers: { authorization: `Bearer ${token}`, ...question.headers } });

const call = (id: unknown, name = 'echo', args = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

/** Files in a folder of their own, replaced as editors do. */
async function folder() {
  const { home } = await makeTempHome();
  return (name: string, text: string | object): string => {
    const path = join(home, name);
    writeFileSync(`${path}.new`, typeof text === 'string' ? text : JSON.stringify(text));
    renameSync(`${path}.new`, path);
    return path;
  };
}

/** A placeholder of the map. */
const claim = (name: string): string => ['$', '{', name, '}'].join('');

const WHO = {
  identities: [
    {
      name: 'ci',
      match: { token: 'ci' },
      role: { arn: `${ROLE}/ci`, externalId: 'for-ci' },
      tools: { deny: ['delete_*'] },
      limits: { maxConcurrent: 1 },
    },
    {
      name: 'operators',
      match: { group: 'ops' },
      role: {
        arn: `${ROLE}/ops`,
        sessionName: `ops-${claim('sub')}`,
        tags: { department: claim('department') },
      },
    },
    { name: 'web', match: { claim: { email_verified: true } }, webIdentity: { arn: `${ROLE}/web` } },
  ],
};

/** The text in the result of a tool, as JSON. */
const textOf = (json: Rpc | undefined): unknown => {
  const { content = [] } = (json?.result ?? {}) as { content?: readonly { text: string }[] };
  return JSON.parse(content[0]?.text ?? 'null');
};

describe('--identity-map', () => {
  it('each user signs with the role of its rule, with filters and limits of its own, and others have no access', async () => {
    const issuer = await startIssuer();
    const sts = await startAwsStandIns();
    const write = await folder();
    const map = write('map.json', WHO);
    const log = `${map}.access.log`;
    const gate = makeGate();
    const listening = await startListening({
      args: [
        ...['--listen-issuer', issuer.url, '--listen-audience', AUDIENCE, '--identity-map', map],
        ...['--listen-token-file', write('tokens', `ci=${TOKEN.ci}\nbob=${TOKEN.bob}\n`)],
        ...['--access-log', log],
      ],
      env: sts.env as Record<string, string>,
      verify: { ...signingVerify, keys: { ...signingVerify.keys, ...issuedKeys } },
      session: {
        on: {
          'tools/call': async (_request, _response, { params, fallback }) => {
            if (JSON.stringify(params).includes('slow')) await gate.opened;
            return fallback();
          },
        },
      },
    });
    const { server, bin } = listening;
    const alice = await issuer.token({ groups: ['dev', 'ops'], department: 'R+D' });
    const carol = await issuer.token({ sub: 'auth0|carol', email_verified: true });
    const users = { ci: as(listening, TOKEN.ci), alice: as(listening, alice), carol: as(listening, carol) };

    const ci = await openSession(users.ci);
    const ofAlice = await openSession(users.alice);
    const ofCarol = await openSession(users.carol);
    expect(new Set(server.requests.map(keyOf))).toEqual(new Set(['STS-1', 'STS-2', 'STS-3']));
    const assumed = sts
      .of('sts')
      .map(({ form, accessKeyId }) => ({ ...Object.fromEntries(form), accessKeyId }));
    expect(assumed).toEqual([
      expect.objectContaining({
        ...{ Action: 'AssumeRole', RoleArn: `${ROLE}/ci`, RoleSessionName: 'ci', ExternalId: 'for-ci' },
        accessKeyId: TEST_KEY.accessKeyId,
      }),
      expect.objectContaining({
        ...{ Action: 'AssumeRole', RoleArn: `${ROLE}/ops`, RoleSessionName: 'ops-alice' },
        ...{ 'Tags.member.1.Key': 'department', 'Tags.member.1.Value': 'R+D' },
      }),
      expect.objectContaining({
        ...{ Action: 'AssumeRoleWithWebIdentity', RoleArn: `${ROLE}/web`, WebIdentityToken: carol },
        RoleSessionName: expect.stringMatching(/^user-auth0-carol-[0-9a-f]{16}$/),
      }),
    ]);

    // Filters and limits of the rule.
    const refused = await users.ci({ headers: ci, body: call(0, 'delete_all') });
    expect(refused.json.error).toMatchObject({ data: { reason: 'tool-refused' } });
    const slow = users.ci({ headers: ci, body: call('', 'echo', { slow: true }) });
    await server.until((all) => all.some(({ text }) => text.includes('"slow"')));
    expect((await users.ci({ headers: ci, body: call(-1) })).json.error).toMatchObject({ code: -32001 });
    expect((await users.alice({ headers: ofAlice, body: call(-1) })).json).toHaveProperty('result');
    gate.open();
    expect((await slow).json).toHaveProperty('result');

    // No rule, a session of someone else, and a user who lacks the claim of a tag.
    const before = server.requests.length;
    const stranger = await as(listening, TOKEN.bob)({ body: call(0) });
    expect([stranger.status, stranger.json.error]).toEqual([
      403,
      expect.objectContaining({ message: expect.stringContaining('no rule of --identity-map matches') }),
    ]);
    expect((await users.alice({ headers: ofCarol, body: call(0) })).status).toBe(404);
    expect((await users.alice({ method: 'DELETE', headers: ofCarol })).status).toBe(404);
    const untagged = as(listening, await issuer.token({ sub: 'dave', groups: 'ops' }));
    expect((await untagged({ body: call(0) })).json.error).toMatchObject({
      message: expect.stringContaining('no claim department'),
    });
    expect(server.requests.length).toBe(before);

    // A broken map changes nothing; a valid one counts at once.
    write('map.json', '{ "identities": [ { "name": "x" } ] }');
    await bin.stderrMatching(/identities\[0\].match must be an object.*"listener\.identities-unusable"/);
    expect((await users.alice({ headers: ofAlice, body: call(1) })).status).toBe(200);
    write('map.json', { identities: WHO.identities.slice(0, 1) });
    await bin.stderrMatching(/"rules":1/);
    expect((await users.alice({ headers: ofAlice, body: call(2) })).status).toBe(403);
    expect((await users.ci({ headers: ci, body: call(3) })).status).toBe(200);
    expect(bin.stderr.split('identities-unusable').length).toBe(2);

    // Lines are held for a moment; the end writes them.
    bin.kill('SIGTERM');
    await bin.exit();
    const lines = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const signers = lines.filter(({ attempts }) => attempts > 0).map(({ token, role }) => `${token} ${role}`);
    expect([...new Set(signers)].sort()).toEqual(['ci ci', 'user:alice ops', 'user:auth0|carol web']);
    for (const secret of [alice, carol]) expect(bin.stderr + lines).not.toContain(secret);
    expect(existsSync(log)).toBe(true);
  });

  it('two users with eight calls in flight each, one logged out midway, never see data of each other', async () => {
    const sts = await startAwsStandIns();
    const write = await folder();
    const tokens = write('tokens', `ci=${TOKEN.ci}\nbob=${TOKEN.bob}\n`);
    const rules = ['ci', 'bob'].map((name) => ({
      name,
      match: { token: name },
      role: { arn: `${ROLE}/${name}` },
    }));
    const gate = makeGate();
    const listening = await startListening({
      args: [
        ...['--identity-map', write('map.json', { identities: rules }), '--listen-token-file', tokens],
        ...['--forward-header', 'x-user', '--max-connections', '16'],
      ],
      env: sts.env as Record<string, string>,
      verify: { ...signingVerify, keys: { ...signingVerify.keys, ...issuedKeys } },
      session: {
        on: {
          'tools/call': async (request, _response, { params, result }) => {
            await gate.opened;
            const { headers } = request;
            const seen = { key: keyOf(request), session: headers['mcp-session-id'], user: headers['x-user'] };
            return result({
              content: [{ type: 'text', text: JSON.stringify({ ...seen, given: params.arguments }) }],
            });
          },
        },
      },
    });
    const { server, bin, url } = listening;
    const sessions = {
      ci: await openSession(as(listening, TOKEN.ci)),
      bob: await openSession(as(listening, TOKEN.bob)),
    };
    const headersOf = (user: 'ci' | 'bob') => ({ ...sessions[user], 'x-user': user });
    const stream = await open(url, {
      method: 'GET',
      headers: { ...headersOf('ci'), authorization: `Bearer ${TOKEN.ci}`, accept: 'text/event-stream' },
    });
    const cut = new Promise((resolve) => stream.response.on('close', resolve).on('error', resolve).resume());
    // The ids of both are the same.
    const calls = (user: 'ci' | 'bob') =>
      Array.from({ length: 8 }, (_, id) =>
        as(
          listening,
          TOKEN[user],
        )({ headers: headersOf(user), body: call(id, 'echo', { user, id }) }).then(
          ({ json }) => json,
          () => undefined,
        ),
      );
    const [ofCi, ofBob] = [calls('ci'), calls('bob')];
    await server.until(() => server.of('tools/call').length === 16);
    write('tokens', `bob=${TOKEN.bob}\n`);
    await cut;
    gate.open();

    // The log of the server: each call has key, session and header of one user.
    const whose = { 'STS-1': 'ci', 'STS-2': 'bob' } as Readonly<Record<string, 'ci' | 'bob'>>;
    for (const request of server.requests) {
      const user = whose[keyOf(request)] ?? 'ci';
      if (!request.text.includes('tools/call')) continue;
      expect(request.headers['x-user']).toBe(user);
      expect(request.headers['mcp-session-id']).toBe(sessions[user]['mcp-session-id']);
      expect(request.text).toContain(`"user":"${user}"`);
    }
    expect(server.of('tools/call').map(keyOf).sort()).toEqual([
      ...Array(8).fill('STS-1'),
      ...Array(8).fill('STS-2'),
    ]);
    const texts = (await Promise.all(ofBob)).map((json) => textOf(json));
    expect(texts).toEqual(
      Array.from({ length: 8 }, (_, id) => ({
        ...{ key: 'STS-2', session: sessions.bob['mcp-session-id'], user: 'bob' },
        given: { user: 'bob', id },
      })),
    );
    // The calls of the revoked token end without an answer, and its session is closed to others.
    expect(await Promise.all(ofCi)).toEqual(Array(8).fill(undefined));
    const bob = as(listening, TOKEN.bob);
    expect((await bob({ headers: sessions.ci, body: call(0) })).status).toBe(404);
    expect((await as(listening, TOKEN.ci)({ headers: sessions.ci, body: call(0) })).status).toBe(401);
    expect((await bob({ headers: headersOf('bob'), body: call(9) })).status).toBe(200);
    expect(bin.stderr).not.toContain('internal.fault');
  });
});

describe('several profiles at the listener', () => {
  it('each profile has a path, the first one also that of MCP, and sessions stay with their profile', async () => {
    const profiles = ['dev', 'prod team'];
    const listening = await startListening({
      args: ['--profile', 'dev', '--profile', 'prod team'],
      env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' },
      files: { '.aws/config': profiles.map((name) => profileLines(name)).join('\n') },
      verify: false,
    });
    const { url, server } = listening;
    const at =
      (path: string): Listening['ask'] =>
      (question) =>
        send(`${url}${path}`, question);
    const opened = [
      await openSession(at('')),
      await openSession(at('/dev')),
      await openSession(at('/prod%20team/')),
    ];
    expect(server.of('initialize').map(keyOf)).toEqual(['AKIDDEV', 'AKIDDEV', 'AKIDPROD TEAM']);
    const list = { jsonrpc: '2.0', id: '', method: 'tools/list' };
    const tools = await at('/dev')({ headers: opened[1] ?? {}, body: list });
    // The argument aws_profile is for stdio, where the proxy keeps the sessions.
    expect([tools.status, tools.text.includes('aws_profile')]).toEqual([200, false]);
    const before = server.requests.length;
    const foreign = await at('/dev')({ headers: opened[2] ?? {}, body: list });
    expect([foreign.status, server.requests.length]).toEqual([404, before]);
    expect((await at('/other')({ body: list })).status).toBe(404);
  });
});
