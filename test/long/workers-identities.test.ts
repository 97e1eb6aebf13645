import { describe, expect, it } from 'vitest';
import { issuedKeys, profileLines } from '../support/accounts.ts';
import { startAwsStandIns } from '../support/aws-stand-ins.ts';
import { openSession } from '../support/listening.ts';
import { makeGate } from '../support/relayed.ts';
import type { RecordedRequest } from '../support/scripted-server.ts';
import { signingVerify } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';
import { type Connection, connectTo, connectToBoth, startWorkers, type Workers } from '../support/workers.ts';

const TOKENS = { ann: 'the-token-of-the-first-user', bob: 'the-token-of-the-other-user' };
const ROLE = 'arn:aws:iam::123456789012:role';

const call = (id: unknown, args = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'echo', arguments: args },
});

const keyOf = ({ headers }: RecordedRequest): string =>
  /Credential=([^/]+)/.exec(String(headers.authorization))?.[1] ?? 'nobody';

/** A session server whose calls with the argument `slow` end when the gate opens. */
function slowCalls() {
  const gate = makeGate();
  return {
    gate,
    session: {
      on: {
        'tools/call': async (
          _request: RecordedRequest,
          _response: unknown,
          { params, fallback }: { params: object; fallback: () => Promise<void> | void },
        ) => {
          if (JSON.stringify(params).includes('slow')) await gate.opened;
          return fallback();
        },
      },
    },
  };
}

/** The same user or path at both workers. */
const withHeaders =
  (connection: Connection, given: Readonly<Record<string, string>>): Connection =>
  (question) =>
    connection({ ...question, headers: { ...given, ...question.headers } });

describe('--workers with --identity-map', () => {
  async function startUsers() {
    const sts = await startAwsStandIns();
    const { write, cleanup } = await makeTempHome();
    const { gate, session } = slowCalls();
    const tokens = Object.entries(TOKENS).map(([name, token]) => `${name}=${token}\n`);
    const identities = Object.keys(TOKENS).map((name) => ({
      name,
      match: { token: name },
      role: { arn: `${ROLE}/${name}` },
      limits: { maxConcurrent: 1 },
    }));
    const workers = await startWorkers({
      args: [
        ...['--listen-token-file', await write('tokens', tokens.join(''))],
        ...['--identity-map', await write('map.json', JSON.stringify({ identities }))],
      ],
      env: sts.env as Record<string, string>,
      verify: { ...signingVerify, keys: { ...signingVerify.keys, ...issuedKeys } },
      session,
    });
    const both = await connectToBoth(workers.url, { authorization: `Bearer ${TOKENS.ann}` });
    const as = (user: keyof typeof TOKENS, at: 0 | 1): Connection =>
      withHeaders(both[at], { authorization: `Bearer ${TOKENS[user]}` });
    const roleOf = (request: RecordedRequest): string => {
      const at = Number(/STS-(\d)/.exec(keyOf(request))?.[1]);
      return String(sts.of('sts')[at - 1]?.form.get('RoleArn'));
    };
    return { ...workers, gate, as, roleOf, cleanup };
  }

  it('--workers with --identity-map serves the session of a user at each worker, signed with its role', async () => {
    const { as, server, roleOf, cleanup } = await startUsers();
    const ann = await openSession(as('ann', 0));
    const bob = await openSession(as('bob', 1));
    for (const at of [0, 1] as const) {
      for (const id of [0, '', -1]) {
        expect((await as('ann', at)({ headers: ann, body: call(id) })).json).toMatchObject({
          id,
          result: {},
        });
        expect((await as('bob', at)({ headers: bob, body: call(id) })).json).toMatchObject({
          id,
          result: {},
        });
      }
      // The session of another user.
      expect((await as('bob', at)({ headers: ann, body: call(4) })).status).toBe(404);
      expect((await as('ann', at)({ headers: bob, body: call(5) })).status).toBe(404);
    }
    const signed = server.of('tools/call').map((request) => {
      const isOfAnn = request.headers['mcp-session-id'] === ann['mcp-session-id'];
      return `${isOfAnn ? 'ann' : 'bob'} ${roleOf(request)}`;
    });
    expect(signed).toHaveLength(12);
    expect([...new Set(signed)].sort()).toEqual([`ann ${ROLE}/ann`, `bob ${ROLE}/bob`]);
    await cleanup();
  });

  it('--workers with --identity-map holds the limit of a rule over all workers, and for each user alone', async () => {
    const { as, server, gate, cleanup } = await startUsers();
    const ann = await openSession(as('ann', 0));
    const bob = await openSession(as('bob', 0));
    const slow = as('ann', 0)({ headers: ann, body: call('slow', { slow: true }) });
    await server.until(() => server.of('tools/call').length === 1);
    const refused = await as('ann', 1)({ headers: ann, body: call(0) });
    expect(refused.json).toMatchObject({ id: 0, error: { code: -32001 } });
    expect((await as('bob', 1)({ headers: bob, body: call('') })).json).toMatchObject({ id: '', result: {} });
    gate.open();
    expect((await slow).json).toMatchObject({ id: 'slow', result: {} });
    const free = await as('ann', 1)({ headers: ann, body: call(-1) });
    expect(free.json).toMatchObject({ id: -1, result: {} });
    await cleanup();
  });
});

describe('--workers with several profiles', () => {
  const profiles = ['dev', 'prod team'];

  async function startProfiles(args: readonly string[] = []) {
    const { gate, session } = slowCalls();
    const workers = await startWorkers({
      args: [...profiles.flatMap((name) => ['--profile', name]), ...args],
      env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' },
      files: { '.aws/config': profiles.map((name) => profileLines(name)).join('\n') },
      verify: false,
      session,
    });
    return { ...workers, gate };
  }

  /** Two connections to different workers, at the path of a profile. */
  const atBoth = async ({ url }: Workers, path: string): Promise<readonly [Connection, Connection]> => {
    const both = [connectTo(`${url}${path}`), connectTo(`${url}${path}`)] as const;
    for (const connection of both) await connection({ body: { jsonrpc: '2.0', id: 0, method: 'ping' } });
    return both;
  };

  it('--workers with two profiles serves a session at each worker on the path of its profile only', async () => {
    const workers = await startProfiles();
    const { server } = workers;
    const [dev, otherDev] = await atBoth(workers, '/dev');
    const [prod, otherProd] = await atBoth(workers, '/prod%20team');
    const ofDev = await openSession(dev);
    const ofProd = await openSession(otherProd);
    for (const [asks, headers] of [
      [[dev, otherDev], ofDev],
      [[prod, otherProd], ofProd],
    ] as const) {
      for (const ask of asks) expect((await ask({ headers, body: call(0) })).status).toBe(200);
    }
    const before = server.requests.length;
    for (const ask of [dev, otherDev])
      expect((await ask({ headers: ofProd, body: call('') })).status).toBe(404);
    for (const ask of [prod, otherProd])
      expect((await ask({ headers: ofDev, body: call(-1) })).status).toBe(404);
    expect(server.requests.length).toBe(before);
    expect(server.of('tools/call').map(keyOf)).toEqual([
      'AKIDDEV',
      'AKIDDEV',
      'AKIDPROD TEAM',
      'AKIDPROD TEAM',
    ]);
  });

  it('--workers with two profiles and --max-concurrent 1 runs one call of each profile at once', async () => {
    const workers = await startProfiles(['--max-concurrent', '1']);
    const { server, gate } = workers;
    const [dev, otherDev] = await atBoth(workers, '/dev');
    const [, otherProd] = await atBoth(workers, '/prod%20team');
    const ofDev = await openSession(dev);
    const ofProd = await openSession(otherProd);
    const slow = dev({ headers: ofDev, body: call('slow', { slow: true }) });
    await server.until(() => server.of('tools/call').length === 1);
    expect((await otherDev({ headers: ofDev, body: call(0) })).json).toMatchObject({
      id: 0,
      error: { code: -32001 },
    });
    expect((await otherProd({ headers: ofProd, body: call('') })).json).toMatchObject({ id: '', result: {} });
    gate.open();
    expect((await slow).json).toMatchObject({ id: 'slow', result: {} });
    expect((await otherDev({ headers: ofDev, body: call(-1) })).json).toMatchObject({ id: -1, result: {} });
  });
});
