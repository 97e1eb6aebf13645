import { describe, expect, it } from 'vitest';
import { keyOf, profileLines } from '../support/accounts.ts';
import { type AwsStandIns, startAwsStandIns } from '../support/aws-stand-ins.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { openSession, startListener } from '../support/listening.ts';
import { SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, TEST_KEY } from '../support/signing.ts';

const STS_ARN = (key: string): string => `arn:aws:iam::123456789012:user/owner-of-${key}`;
const CLAIM = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '0' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

interface Rig {
  readonly aws: AwsStandIns;
  readonly server: ScriptedServer;
  readonly bin: BinDriver;
  list(params?: object): Promise<string[]>;
  whoami(args?: object, id?: unknown, meta?: object): Promise<Record<string, unknown>>;
  sent(): number;
}

async function start(args: string[] = [], session: SessionServerOptions = {}, env = {}): Promise<Rig> {
  const aws = await startAwsStandIns();
  const server = await ScriptedServer.start(new SessionServer(session).behaviour);
  const bin = BinDriver.start({
    args: [`${server.url}?api_key=s3cr3t-k3y`, ...signingArgs, '--whoami-tool', ...args],
    env: { ...(aws.env as Record<string, string>), ...signingEnv, ...env },
    files: { '.aws/config': profileLines('prod') + profileLines('dev') },
  });
  let lists = 0;
  const result = async (answer: Promise<Record<string, unknown>>): Promise<Record<string, unknown>> =>
    ((await answer).result ?? (await answer).error) as Record<string, unknown>;
  return {
    aws,
    server,
    bin,
    list: async (params = {}) => {
      const { tools } = await result(bin.request('tools/list', params, `list-${lists++}`));
      return (tools as { name: string }[]).map(({ name }) => name);
    },
    whoami: (given = {}, id: unknown = '', meta) =>
      result(
        bin.request('tools/call', { name: 'whoami', arguments: given, ...(meta ? { _meta: meta } : {}) }, id),
      ),
    sent: () => server.requests.filter(({ rpc }) => rpc.method === 'tools/call').length,
  };
}

const identity = (profile: string | null, key: string, endpoint: string) => ({
  profile,
  region: 'eu-west-1',
  endpoint,
  account: '123456789012',
  arn: STS_ARN(key),
});

describe('--whoami-tool', () => {
  it('--whoami-tool adds a read-only tool that returns the identity of calls, with one request to STS', async () => {
    const { aws, server, bin, list, whoami, sent } = await start();
    await bin.initialize({}, 'init');
    expect(await list()).toContain('whoami');
    expect(bin.lines.at(-1)).toContain('"readOnlyHint":true');
    const endpoint = `${server.url}?api_key=...`;
    const expected = identity(null, TEST_KEY.accessKeyId, endpoint);
    for (const id of [1, 0, -1, '']) {
      const { structuredContent, content, isError } = await whoami({}, id);
      expect({ structuredContent, isError }).toEqual({ structuredContent: expected, isError: false });
      expect(JSON.parse((content as { text: string }[])[0]?.text ?? '')).toEqual(expected);
    }
    await Promise.all(['a', 'b', 'c'].map((id) => whoami({}, id)));
    expect(aws.of('sts')).toHaveLength(1);
    expect(sent()).toBe(0);
  });

  it('--whoami-tool answers in revision 2026-07-28 too, with the result type of that revision', async () => {
    const { whoami, sent } = await start();
    expect(await whoami({}, 0, CLAIM)).toMatchObject({
      resultType: 'complete',
      structuredContent: { account: '123456789012' },
    });
    expect(sent()).toBe(0);
  });

  it('--whoami-tool reports the profile that aws_profile names, with one request to STS for each', async () => {
    const { aws, server, bin, whoami } = await start(['--profile', 'prod', 'dev']);
    const endpoint = `${server.url}?api_key=...`;
    await bin.initialize({}, 0);
    expect((await whoami({}, 1)).structuredContent).toEqual(identity('prod', keyOf('prod'), endpoint));
    expect((await whoami({ aws_profile: 'dev' }, 2)).structuredContent).toEqual(
      identity('dev', keyOf('dev'), endpoint),
    );
    expect((await whoami({ aws_profile: 'prod' }, 3)).structuredContent).toMatchObject({ profile: 'prod' });
    expect(aws.of('sts').map(({ accessKeyId }) => accessKeyId)).toEqual([keyOf('prod'), keyOf('dev')]);
    expect(await whoami({ aws_profile: 'root' }, 4)).toMatchObject({
      message: expect.stringContaining('must be one of prod, dev'),
      data: { reason: 'unknown-profile' },
    });
    await bin.request('tools/list', {}, 5);
    expect(bin.lines.at(-1)).toMatch(/"name":"whoami".*"enum":\["prod","dev"\]/);
  });

  it.each<[string, string[], boolean]>([
    ['--read-only', ['--read-only'], true],
    ['--allow-tool of another', ['--allow-tool', 'echo'], true],
    ['--deny-tool of another', ['--deny-tool', 'echo'], true],
    ['--deny-tool whoami', ['--deny-tool', 'whoami', 'proxy_*'], false],
    ['--tool-cache-ttl', ['--tool-cache-ttl', '60'], true],
    ['--lazy', ['--lazy'], true],
  ])('--whoami-tool together with %s is listed and answered: %j', async (_what, args, offered) => {
    const { bin, list, whoami, sent } = await start(args);
    await bin.initialize({}, 0);
    for (let turn = 0; turn < 2; turn++) {
      const names = await list();
      expect(names.filter((name) => name === 'whoami')).toHaveLength(offered ? 1 : 0);
    }
    const answer = await whoami({}, 'call');
    if (offered) expect(answer).toMatchObject({ structuredContent: { account: '123456789012' } });
    else expect(answer).toHaveProperty('data.reason', 'tool-refused');
    expect(sent()).toBe(0);
  });

  it('--whoami-tool is called proxy_whoami if the server has a tool of the same name', async () => {
    const own = { name: 'whoami', inputSchema: { type: 'object' } };
    const { bin, list, whoami, sent } = await start([], {
      tools: [own],
      on: { 'tools/call': (_request, _response, context) => context.result({ content: [] }) },
    });
    await bin.initialize({}, 0);
    expect(await list()).toEqual(['whoami', 'proxy_whoami']);
    expect(await whoami({}, 1)).toEqual({ content: [] });
    expect(sent()).toBe(1);
    const { result } = await bin.request('tools/call', { name: 'proxy_whoami' }, 2);
    expect(result).toMatchObject({ structuredContent: { account: '123456789012' } });
    expect(sent()).toBe(1);
  });

  it('--whoami-tool is on the first page only if the server lists in pages', async () => {
    const page = (name: string) => ({ name, inputSchema: { type: 'object' } });
    const { bin, list } = await start(
      ['--listen-token', 'unused-token-of-length', '--log-level', 'silent'].slice(2),
      {
        on: {
          'tools/list': (_request, _response, context) =>
            context.params.cursor === undefined
              ? context.result({ tools: [page('a')], nextCursor: 'two' })
              : context.result({ tools: [page('b')] }),
        },
      },
    );
    await bin.initialize({}, 0);
    const first = await list();
    expect(first.filter((name) => name === 'whoami')).toHaveLength(1);
    expect(await list({ cursor: 'two' })).toEqual(['b']);
  });

  it('--whoami-tool reports missing credentials, and an STS that cannot be reached', async () => {
    const none = await start(
      [],
      {},
      { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' },
    );
    expect(await none.whoami()).toMatchObject({ data: { reason: 'no-credentials' } });
    const unsigned = await start(['--auth', 'none']);
    expect((await unsigned.whoami()).structuredContent).toMatchObject({
      account: null,
      arn: null,
      note: 'requests are not signed',
    });
    const dark = await start([], {}, { AWS_ENDPOINT_URL_STS: 'http://127.0.0.1:9' });
    expect((await dark.whoami()).structuredContent).toMatchObject({
      arn: null,
      note: expect.stringContaining('STS gave no identity'),
    });
    const refused = await start();
    const body =
      '<ErrorResponse><Error><Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message></Error></ErrorResponse>';
    refused.aws.fail('sts', { status: 403, body });
    expect(await refused.whoami()).toMatchObject({ data: { reason: 'auth-rejected', verdict: 'expired' } });
    refused.aws.fail('sts', undefined);
    expect(await refused.whoami({}, 1)).toMatchObject({ structuredContent: { account: '123456789012' } });
  });

  it('--whoami-tool is offered to the clients of the listener', async () => {
    const aws = await startAwsStandIns();
    const server = await ScriptedServer.start(new SessionServer().behaviour);
    const { ask } = await startListener(server.url, {
      args: ['--whoami-tool'],
      env: aws.env as Record<string, string>,
    });
    const headers = await openSession(ask);
    const listed = await ask({ headers, body: { jsonrpc: '2.0', id: 0, method: 'tools/list' } });
    expect(listed.text.match(/"name":"whoami"/g)).toHaveLength(1);
    const called = {
      jsonrpc: '2.0',
      id: '',
      method: 'tools/call',
      params: { name: 'whoami', arguments: {} },
    };
    const { status, json } = await ask({ headers, body: called });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      id: '',
      result: { structuredContent: { arn: STS_ARN(TEST_KEY.accessKeyId) } },
    });
    expect(server.requests.filter(({ rpc }) => rpc.method === 'tools/call')).toEqual([]);
  });
});
