import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { errorOf, SessionServer, type SessionServerOptions } from '../support/mcp-behaviours.ts';
import { TOOL_DEFINITIONS } from '../support/mcp-tools.ts';
import { makeGate } from '../support/relayed.ts';
import { type RecordedRequest, ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify, TEST_KEY } from '../support/signing.ts';

/** One server and one cache folder for several successive runs of the bin. */
async function start(first: SessionServerOptions = {}, verify = signingVerify) {
  let mcp = new SessionServer(first);
  const server = await ScriptedServer.start((request, response) => mcp.behaviour(request, response), {
    verify,
  });
  const cache = mkdtempSync(join(tmpdir(), 'mcp-cache-'));
  afterThisTest(() => rmSync(cache, { recursive: true, force: true }));
  const run = ({ args = [], env = signingEnv }: Run = {}): BinDriver =>
    BinDriver.start({
      args: [server.url, ...signingArgs, '--lazy', ...args],
      env: { XDG_CACHE_HOME: cache, AWS_EC2_METADATA_DISABLED: 'true', ...env },
    });
  return {
    server,
    cache,
    folder: join(cache, 'mcp-sigv4-proxy'),
    run,
    /** The tools that the server offers from now on; all earlier sessions are lost. */
    becomes: (options: SessionServerOptions) => {
      mcp = new SessionServer(options);
    },
    posted: (method: string): RecordedRequest[] => server.requests.filter(({ rpc }) => rpc.method === method),
  };
}

interface Run {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A run that lists the tools, and ends when its snapshot is written. */
async function learn({ run, folder }: { run: (run?: Run) => BinDriver; folder: string }, options?: Run) {
  const before = files(folder).length;
  const bin = run(options);
  const opening = await bin.initialize({}, 'first-run');
  const list = await bin.request('tools/list', undefined, 'first-list');
  bin.closeStdin();
  await bin.exited;
  expect(files(folder).length).toBe(before + 1);
  return { opening, list };
}

function files(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

const echo = { name: 'echo', arguments: { text: 'hello' } };
const LISTING = { tools: { listChanged: true } };

describe('--lazy with a snapshot of the last run', () => {
  it('--lazy answers initialize, tools/list and ping from the snapshot, without a request or credentials', async () => {
    const stage = await start();
    const { opening, list } = await learn(stage);
    const asked = stage.server.requests.length;
    const bin = stage.run({ env: {} });
    expect((await bin.initialize({}, 0)).result).toEqual(opening.result);
    expect((await bin.request('tools/list', {}, '')).result).toEqual(list.result);
    expect((await bin.request('ping', undefined, -1)).result).toEqual({});
    expect(stage.server.requests.length).toBe(asked);
    expect(bin.stderr).toBe('');
  });

  it('--lazy opens one session when parallel calls need it, and deletes it at the end', async () => {
    const stage = await start();
    await learn(stage);
    const bin = stage.run();
    await bin.initialize({}, 0);
    const calls = Array.from({ length: 16 }, (_, at) => bin.request('tools/call', echo, `call-${at}`));
    for (const answer of await Promise.all(calls)) expect(answer).toHaveProperty('result.content');
    expect(stage.posted('initialize')).toHaveLength(2);
    expect(stage.posted('notifications/initialized')).toHaveLength(2);
    expect(stage.posted('initialize')[1]?.rpc.params).toEqual(stage.posted('initialize')[0]?.rpc.params);
    bin.closeStdin();
    await bin.exited;
    expect(stage.server.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(2);
  });

  it('--lazy deletes the session even if its call was cancelled and the client has left', async () => {
    const stage = await start();
    await learn(stage);
    const { opened, open } = makeGate();
    stage.becomes({
      on: {
        initialize: async (_request, _response, { fallback }) => {
          await opened;
          await fallback();
        },
      },
    });
    const bin = stage.run();
    await bin.initialize({}, 0);
    bin.send({ jsonrpc: '2.0', id: -1, method: 'tools/call', params: echo });
    await stage.server.until(() => stage.posted('initialize').length === 2);
    bin.notify('notifications/cancelled', { requestId: -1 });
    bin.closeStdin();
    await wait(50);
    open();
    await bin.exited;
    expect(stage.server.requests.filter(({ method }) => method === 'DELETE')).toHaveLength(2);
  });

  it('--lazy names the missing credentials to the call that needs them, and works once they exist', async () => {
    const stage = await start();
    await learn(stage);
    const bin = stage.run({ env: {} });
    await bin.initialize({}, 0);
    const refused = await bin.request('tools/call', echo, -1);
    expect(refused.error).toMatchObject({ data: { reason: 'no-credentials', mayHaveRun: false } });
    mkdirSync(join(bin.home, '.aws'));
    writeFileSync(
      join(bin.home, '.aws', 'credentials'),
      `[default]\naws_access_key_id=${TEST_KEY.accessKeyId}\naws_secret_access_key=${TEST_KEY.secretAccessKey}\naws_session_token=${TEST_KEY.sessionToken}\n`,
    );
    expect(await bin.request('tools/call', echo, '')).toHaveProperty('result.content');
  });

  it('--lazy notifies the client of changes since the snapshot, and returns the new list', async () => {
    const stage = await start({ capabilities: LISTING });
    await learn(stage);
    stage.becomes({ capabilities: LISTING, tools: TOOL_DEFINITIONS.slice(0, 1) });
    const bin = stage.run();
    await bin.initialize({}, 0);
    await bin.request('tools/list', undefined, 'old');
    await bin.request('tools/call', echo, 'call');
    await bin.next(({ method }) => method === 'notifications/tools/list_changed');
    const list = await bin.request('tools/list', undefined, 'new');
    expect(list.result).toEqual({ tools: TOOL_DEFINITIONS.slice(0, 1) });
    bin.closeStdin();
    await bin.exited;
    const later = stage.run({ env: {} });
    await later.initialize({}, 0);
    expect((await later.request('tools/list', undefined, 'later')).result).toEqual(list.result);
  });

  it('--lazy asks for a restart if the server speaks another revision, and the next run uses it', async () => {
    const stage = await start();
    await learn(stage);
    stage.becomes({ protocolVersion: '2025-06-18' });
    const bin = stage.run();
    expect((await bin.initialize({}, 0)).result).toMatchObject({ protocolVersion: '2025-11-25' });
    for (const id of [-1, '', 'again']) {
      const { error } = await bin.request('tools/call', echo, id);
      expect(error).toMatchObject({
        code: -31020,
        message: expect.stringContaining('2025-06-18'),
        data: { reason: 'restart-needed', mayHaveRun: false },
      });
    }
    bin.closeStdin();
    await bin.exited;
    const later = stage.run();
    expect((await later.initialize({}, 0)).result).toMatchObject({ protocolVersion: '2025-06-18' });
    expect(await later.request('tools/call', echo, 'call')).toHaveProperty('result.content');
  });

  it('--lazy retries with the next call if the server refused the session', async () => {
    const stage = await start();
    await learn(stage);
    const initialize = {
      on: {
        initialize: (_: unknown, response: Parameters<typeof sendJson>[0]) =>
          sendJson(response, 400, errorOf(0, -32000, 'not today')),
      },
    };
    stage.becomes(initialize);
    const bin = stage.run();
    await bin.initialize({}, 0);
    const { error } = await bin.request('tools/call', echo, '');
    expect(error).toMatchObject({ code: -31021, message: expect.stringContaining('not today') });
    stage.becomes({});
    expect(await bin.request('tools/call', echo, 'again')).toHaveProperty('result.content');
  });
});

describe('--lazy without a usable snapshot', () => {
  it.each([
    ['of another version', '{"format":0,"opening":"{}","pages":{}}'],
    ['that breaks off', '{"format":1,"ope'],
    [
      'whose list is none',
      JSON.stringify({
        format: 1,
        opening: '{"protocolVersion":"2025-11-25","capabilities":{}}',
        pages: { null: '[]' },
      }),
    ],
    ['whose opening is no text', '{"format":1,"opening":{},"pages":{}}'],
  ])('--lazy connects at the start if the snapshot is one %s', async (_what, text) => {
    const stage = await start();
    await learn(stage);
    for (const file of files(stage.folder)) writeFileSync(join(stage.folder, file), text);
    const bin = stage.run();
    await bin.initialize({}, 0);
    expect(stage.posted('initialize')).toHaveLength(2);
    expect(await bin.request('tools/call', echo, '')).toHaveProperty('result.content');
    expect(bin.stderr).toBe('');
  });

  it('--lazy connects at the start if the folder is not writable', async () => {
    const stage = await start();
    writeFileSync(stage.folder, 'a file stands in the way');
    const bin = stage.run();
    await bin.initialize({}, 0);
    expect(await bin.request('tools/list', undefined, 'list')).toHaveProperty('result.tools');
    bin.closeStdin();
    expect(await bin.exited).toMatchObject({ code: 0 });
    expect(bin.stderr).toBe('');
  });

  it.each([
    ['another revision', {}, { protocolVersion: '2025-06-18' }],
    ['another region', { args: ['--region', 'eu-central-1', '--auth', 'none'] }, {}],
  ])('--lazy never uses a snapshot of %s', async (_what, run, params) => {
    const stage = await start();
    await learn(stage);
    const bin = stage.run(run);
    bin.send({
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'c', version: '1' },
        ...params,
      },
    });
    await bin.answer(0);
    expect(stage.server.requests.filter(({ rpc }) => rpc.method === 'initialize').length).toBe(2);
  });
});

it('--lazy never shows the snapshot of another account: a run for another account connects at the start', async () => {
  // Two runs for one account, and one for another.
  const [one, again, other] = [
    'ASIAQNZGKIQY56JQ7WML',
    'ASIAQNZGKIQYZZZZZZZZ',
    'ASIAY34FZKBOKMUTVV7A',
  ] as const;
  const keys = Object.fromEntries([one, again, other].map((id) => [id, TEST_KEY]));
  const stage = await start({}, { ...signingVerify, keys });
  const initialized = async (id: string): Promise<number> => {
    const before = stage.posted('initialize').length;
    const bin = stage.run({ env: { ...signingEnv, AWS_ACCESS_KEY_ID: id } });
    await bin.initialize({}, 0);
    const list = await bin.request('tools/list', undefined, '');
    expect(list).toHaveProperty('result.tools');
    bin.closeStdin();
    await bin.exited;
    return stage.posted('initialize').length - before;
  };
  expect(await initialized(one)).toBe(1);
  expect(await initialized(again)).toBe(0);
  expect(await initialized(other)).toBe(1);
  expect(await initialized(other)).toBe(0);
});

it('--lazy keeps snapshots readable by their owner only, without secrets', async () => {
  const stage = await start();
  await learn(stage);
  const [file = ''] = files(stage.folder);
  const path = join(stage.folder, file);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(stage.folder).mode & 0o777).toBe(0o700);
  const text = readFileSync(path, 'utf8');
  for (const secret of [...Object.values(TEST_KEY), stage.server.url]) expect(text).not.toContain(secret);
  const session = stage.posted('tools/list')[0]?.headers['mcp-session-id'];
  expect(session).toBeTypeOf('string');
  expect(text).not.toContain(session);
});
