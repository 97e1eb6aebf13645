import { describe, expect, it } from 'vitest';
import { type Accounts, keyOf, profileLines, startAccounts } from '../support/accounts.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';
import { signingArgs } from '../support/signing.ts';

const PROFILES = ['prod', 'dev', 'staging'];

const ready = async (options: Partial<Parameters<typeof startAccounts>[0]> = {}): Promise<Accounts> => {
  const on: NonNullable<typeof options.on> = {
    'logging/setLevel': (_request, _response, context) => context.result({}),
    ...options.on,
  };
  const accounts = await startAccounts({ profiles: PROFILES, ...options, on });
  await accounts.bin.initialize({}, 'handshake');
  return accounts;
};

const textIn = (answer: Record<string, unknown>): unknown =>
  JSON.parse((answer as { result: { content: { text: string }[] } }).result.content[0]?.text ?? '');

describe('several profiles', () => {
  it('several profiles are offered as an argument of every tool', async () => {
    const { bin } = await ready();
    const { result } = (await bin.request('tools/list', {}, 'list')) as {
      result: { tools: { inputSchema: { properties: Record<string, unknown> } }[] };
    };
    expect(result.tools).toHaveLength(5);
    for (const { inputSchema } of result.tools) {
      expect(inputSchema.properties.aws_profile).toEqual({
        type: 'string',
        enum: PROFILES,
        description: 'AWS profile that this call uses; prod where left out.',
      });
    }
  });

  it('several profiles can be given before and after the endpoint, as one list, repeated, or with commas', async () => {
    const { server } = await ready();
    const files = { '.aws/config': PROFILES.map((name) => profileLines(name)).join('') };
    for (const args of [
      ['--profile', ...PROFILES, server.url],
      [server.url, '--profile', 'prod,dev', 'staging'],
      ['--profile', 'prod', '--profile', 'dev', server.url, '--profile=staging,prod'],
    ]) {
      const bin = BinDriver.start({ args: [...args, ...signingArgs], files });
      await bin.initialize({}, 0);
      const { result } = await bin.request('tools/list', {}, '');
      expect(JSON.stringify(result)).toContain(`"enum":${JSON.stringify(PROFILES)}`);
      expect(bin.stderr).toBe('');
    }
  });

  it('an argument that differs from aws_profile by case is refused unless the tool declares it', async () => {
    const tools = [
      { name: 'echo', inputSchema: { type: 'object', properties: {} } },
      { name: 'env', inputSchema: { type: 'object', properties: { AWS_PROFILE: { type: 'string' } } } },
    ];
    const { call, server } = await ready({ tools });
    for (const written of ['AWS_PROFILE', 'aws_Profile', 'aw\u017f_profile']) {
      expect(await call('echo', { [written]: 'dev' }, written)).toMatchObject({
        error: { code: -32600, message: expect.stringContaining('aws_profile only in case') },
      });
    }
    expect(server.of('tools/call')).toEqual([]);
    expect(await call('env', { AWS_PROFILE: 'its own' }, -1)).not.toHaveProperty('error.data.source');
    expect(server.of('tools/call').map(({ text }) => text.includes('its own'))).toEqual([true]);
  });

  it('a call with aws_profile is signed for that profile in its own session, and the server never gets the argument', async () => {
    const { bin, by, call, of } = await ready();
    await bin.request('tools/list', {}, 'list');
    expect(textIn(await call('echo', { text: 'a' }, 0))).toEqual({ text: 'a' });
    expect(textIn(await call('echo', { aws_profile: 'dev', text: 'b' }, ''))).toEqual({ text: 'b' });
    expect(textIn(await call('echo', { text: 'c', aws_profile: 'staging' }, -1))).toEqual({ text: 'c' });
    expect(textIn(await call('echo', { aws_profile: 'dev' }, 1))).toEqual({});
    expect(textIn(await call('echo', { aws_profile: 'prod' }, 2))).toEqual({});
    expect(by('initialize')).toEqual(['AKIDPROD', 'AKIDDEV', 'AKIDSTAGING']);
    expect(by('tools/call')).toEqual(['AKIDPROD 1', 'AKIDDEV 2', 'AKIDSTAGING 3', 'AKIDDEV 2', 'AKIDPROD 1']);
    expect(of('dev', 'tools/call')[0]?.request.text).toBe(
      '{"jsonrpc":"2.0","id":"","method":"tools/call","params":{"name":"echo","arguments":{"text":"b"}}}',
    );
    expect(bin.stderr).toBe('');
  });

  it('the session of a profile is opened as the client opened its own, once for all first calls', async () => {
    const { bin, by, call, of, until } = await ready();
    await bin.request('tools/list', {}, 'list');
    await bin.request('logging/setLevel', { level: 'debug' }, 'level');
    const ids = [0, '', -1, 'x', 7, 8, 9, 10];
    const answers = await Promise.all(
      ids.map((id, at) => call('echo', { aws_profile: at % 2 ? 'dev' : 'staging', text: String(at) }, id)),
    );
    expect(answers.map((answer) => [answer.id, textIn(answer)])).toEqual(
      ids.map((id, at) => [id, { text: String(at) }]),
    );
    await until('dev', 'GET');
    expect(by('initialize').sort()).toEqual(['AKIDDEV', 'AKIDPROD', 'AKIDSTAGING']);
    const [own] = of('prod', 'initialize');
    const [theirs] = of('dev', 'initialize');
    expect(theirs?.params).toMatchObject({
      clientInfo: own?.params.clientInfo,
      capabilities: own?.params.capabilities,
      protocolVersion: own?.params.protocolVersion,
    });
    const story = of('dev').map(({ method }) => method);
    expect(story.slice(0, 2)).toEqual(['initialize', 'notifications/initialized']);
    expect(story).toContain('GET');
    expect(of('dev', 'logging/setLevel').map(({ params }) => params.level)).toEqual(['debug']);
    expect(story.indexOf('logging/setLevel')).toBeLessThan(story.indexOf('tools/call'));
  });

  it('open sessions of all profiles receive the client state', async () => {
    const { bin, call, of, until } = await ready();
    await call('echo', { aws_profile: 'dev' });
    await bin.request('logging/setLevel', { level: 'error' }, 'level');
    bin.notify('notifications/roots/list_changed');
    await until('dev', 'logging/setLevel');
    await until('dev', 'notifications/roots/list_changed');
    await until('prod', 'notifications/roots/list_changed');
    expect(of('staging')).toEqual([]);
  });

  it('each profile gets its own region, and all profiles get --metadata', async () => {
    const { call, of } = await ready({
      args: ['--metadata', 'a=1', '--metadata', 'b=2', '--metadata', 'a=3'],
      files: {
        '.aws/config':
          profileLines('prod', 'region = us-west-2\n') +
          profileLines('dev', 'region = eu-north-1\n') +
          profileLines('staging'),
      },
    });
    for (const name of PROFILES) await call('echo', { aws_profile: name });
    const metas = PROFILES.map((name) => of(name, 'tools/call')[0]?.params._meta);
    expect(metas).toEqual([
      { a: '3', b: '2', AWS_REGION: 'us-west-2' },
      { a: '3', b: '2', AWS_REGION: 'eu-north-1' },
      { a: '3', b: '2' },
    ]);
    expect(of('dev', 'initialize')[0]?.params._meta).toMatchObject({ AWS_REGION: 'eu-north-1' });
  });

  it("the client's own _meta and a region in --metadata win over the region of the profile", async () => {
    const { bin, call, of } = await ready({
      args: ['--metadata', 'AWS_REGION=ap-south-1'],
      env: { AWS_REGION: 'us-east-1' },
    });
    await call('echo', { aws_profile: 'dev' });
    const _meta = { AWS_REGION: 'mine' };
    await bin.request('tools/call', { name: 'echo', arguments: { aws_profile: 'dev' }, _meta });
    expect(of('dev', 'tools/call').map(({ params }) => params._meta)).toEqual([
      { AWS_REGION: 'ap-south-1' },
      _meta,
    ]);
  });

  it('each profile has --max-connections connections of its own', async () => {
    let held: (() => void)[] = [];
    const { bin, call, of, until } = await ready({
      args: ['--max-connections', '1'],
      before: ({ method, key }) =>
        method === 'tools/call' && key === keyOf('prod')
          ? async (request, response) => {
              await new Promise<void>((resolve) => held.push(resolve));
              response.writeHead(200, { 'content-type': 'application/json' });
              response.end(JSON.stringify({ jsonrpc: '2.0', id: request.rpc.id, result: { content: [] } }));
            }
          : undefined,
    });
    await bin.request('tools/list', {}, 'list');
    const slow = call('echo', {}, 'slow');
    await until('prod', 'tools/call');
    expect(await call('echo', { aws_profile: 'dev' }, 0)).toHaveProperty('result');
    for (const go of held) go();
    held = [];
    expect(await slow).toHaveProperty('result');
    expect(of('dev', 'tools/call')).toHaveLength(1);
  });

  it('the sessions of all profiles are deleted when the client leaves', async () => {
    const { bin, by, call, server } = await ready();
    for (const name of PROFILES) await call('echo', { aws_profile: name });
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(by('DELETE').sort()).toEqual(['AKIDDEV 2', 'AKIDPROD 1', 'AKIDSTAGING 3']);
    await server.until(() => server.connections.open === 0);
    expect(bin.stderr).toBe('');
  });

  it('all profiles count together for --max-total-sessions', async () => {
    const { bin, by, call } = await ready({ args: ['--max-total-sessions', '2'] });
    await bin.request('tools/list', {}, 'list');
    expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    expect(await call('echo', { aws_profile: 'staging' }, '')).toMatchObject({
      id: '',
      error: {
        message: expect.stringContaining('2 of --max-total-sessions 2 are open, over all profiles'),
        data: { reason: 'no-session', mayHaveRun: false },
      },
    });
    expect(await call('echo', {})).toHaveProperty('result');
    expect(by('initialize')).toEqual(['AKIDPROD', 'AKIDDEV']);
  });

  it('each profile can have several sessions', async () => {
    const { opened, open } = makeGate();
    const { bin, by, call, until } = await ready({
      args: ['--max-sessions', '2'],
      on: {
        'tools/call': async (_request, _response, { fallback }) => {
          await opened;
          await fallback();
        },
      },
    });
    await bin.request('tools/list', {}, 'list');
    const slow = ['dev', 'dev', 'prod', 'prod'].map((name) => call('echo', { aws_profile: name }));
    await Promise.all(['dev', 'prod'].map((name) => until(name, 'tools/call', 2)));
    open();
    for (const answer of await Promise.all(slow)) expect(answer).toHaveProperty('result');
    expect(by('initialize').sort()).toEqual(['AKIDDEV', 'AKIDDEV', 'AKIDPROD', 'AKIDPROD']);
    expect(new Set(by('tools/call')).size).toBe(4);
  });

  it('SIGHUP replaces the sessions of all profiles', async () => {
    const { bin, by, call, until } = await ready();
    await call('echo', { aws_profile: 'dev' });
    bin.kill('SIGHUP');
    await Promise.all(['dev', 'prod'].map((name) => until(name, 'DELETE')));
    expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    expect(await call('echo', {})).toHaveProperty('result');
    expect(by('initialize').sort()).toEqual(['AKIDDEV', 'AKIDDEV', 'AKIDPROD', 'AKIDPROD']);
  });

  it('the sessions of all profiles are deleted when the client initializes again, and reopened when needed', async () => {
    const { bin, by, call, of, until } = await ready();
    await call('echo', { aws_profile: 'dev' });
    await call('echo', { aws_profile: 'staging' });
    await bin.initialize({ clientInfo: { name: 'second', version: '2' } }, 'again');
    expect(await call('echo', { aws_profile: 'dev', text: 'x' }, 0)).toHaveProperty('result');
    expect(of('dev', 'initialize').map(({ params }) => (params.clientInfo as { name: string }).name)).toEqual(
      ['bin-driver', 'second'],
    );
    await until('dev', 'DELETE');
    expect(by('initialize')).toEqual(['AKIDPROD', 'AKIDDEV', 'AKIDSTAGING', 'AKIDPROD', 'AKIDDEV']);
  });
});

describe('a call with another profile', () => {
  it('a call with another profile emits its progress', async () => {
    const { bin } = await ready();
    bin.send({
      jsonrpc: '2.0',
      id: -1,
      method: 'tools/call',
      params: { name: 'progress', arguments: { steps: 3, aws_profile: 'dev' }, _meta: { progressToken: 0 } },
    });
    expect(await bin.answer(-1)).toHaveProperty('result');
    const steps = bin.messages.filter(({ method }) => method === 'notifications/progress');
    expect(steps.map(({ params }) => params)).toEqual(
      [1, 2, 3].map((progress) => ({ progressToken: 0, progress, total: 3 })),
    );
  });

  it('a call with another profile can elicit, and equal ids of two profiles are told apart', async () => {
    const { bin, by, call } = await ready();
    const asked = ['dev', 'prod'].map((name) =>
      call('elicit', { message: name, aws_profile: name }, `asks-${name}`),
    );
    for (let at = 0; at < 2; at++) {
      const question = await bin.next(({ method }) => method === 'elicitation/create');
      const { message } = question.params as { message: string };
      bin.send({ jsonrpc: '2.0', id: question.id, result: { action: 'accept', content: { name: message } } });
    }
    for (const [at, name] of ['dev', 'prod'].entries()) {
      expect(textIn((await asked[at]) ?? {})).toEqual({ action: 'accept', content: { name } });
    }
    expect(
      by('response')
        .map((text) => text.split(' ')[0])
        .sort(),
    ).toEqual(['AKIDDEV', 'AKIDPROD']);
  });

  it.each([0, '', -1])(
    'a call with another profile is cancelled in its own session, and nothing more is emitted for its id: %j',
    async (id) => {
      const { bin, by, call, of, until } = await ready();
      await bin.request('tools/list', {}, 'list');
      bin.send({
        jsonrpc: '2.0',
        id,
        method: 'tools/call',
        params: { name: 'sleep', arguments: { ms: 10_000, aws_profile: 'dev' } },
      });
      await until('dev', 'tools/call');
      bin.notify('notifications/cancelled', { requestId: id });
      await until('dev', 'notifications/cancelled');
      expect(of('dev', 'notifications/cancelled')[0]?.params.requestId).toBe(id);
      expect(await call('echo', { aws_profile: 'dev' }, 'after')).toHaveProperty('result');
      expect(by('notifications/cancelled')).toEqual(['AKIDDEV 2']);
      expect(bin.messages.filter((message) => message.id === id && message.method === undefined)).toEqual([]);
    },
  );

  it('a call with another profile times out by itself, and its server receives the cancellation', async () => {
    const { call, until } = await ready({ args: ['--tool-timeout', '1'] });
    // Opens the session and has the list read: the proxy cancels only what it has sent.
    await expect.poll(() => call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    const answer = await call('sleep', { ms: 10_000, aws_profile: 'dev' }, 0);
    expect(answer).toMatchObject({ id: 0, error: { data: { reason: 'timeout' } } });
    await until('dev', 'notifications/cancelled');
  });

  it('a call with another profile is sent again if it did not run', async () => {
    let turnedAway = 0;
    const { call, of } = await ready({
      before: ({ method, key }) =>
        method === 'tools/call' && key === keyOf('dev') && turnedAway++ < 2
          ? (_request, response) => void response.writeHead(429).end()
          : undefined,
    });
    expect(await call('sleep', { ms: 0, aws_profile: 'dev' })).toHaveProperty('result');
    expect(of('dev', 'tools/call')).toHaveLength(3);
    expect(of('prod', 'tools/call')).toHaveLength(0);
  });

  it("a call with another profile is retried if the default profile's server declares its tool read-only", async () => {
    let cut = false;
    const { bin, call, of } = await ready({
      before: ({ method, key }) => {
        if (method !== 'tools/call' || key !== keyOf('dev') || cut) return undefined;
        cut = true;
        return (_request, response) => void response.destroy();
      },
    });
    await bin.request('tools/list', {}, 'list');
    expect(await call('echo', { aws_profile: 'dev' }, 0)).toHaveProperty('result');
    expect(of('dev', 'tools/call')).toHaveLength(2);
  });

  it('a batch can mix profiles: each call is sent with those of its profile', async () => {
    const { bin, seen } = await ready({
      protocolVersion: '2025-03-26',
      before: ({ request: { json } }) =>
        Array.isArray(json)
          ? (_request, response) =>
              sendJson(
                response,
                200,
                json.map(({ id }: { id: unknown }) => ({ jsonrpc: '2.0', id, result: { content: [] } })),
              )
          : undefined,
    });
    await bin.request('tools/list', {}, 'list');
    const batch = (ids: readonly unknown[]): string =>
      JSON.stringify(
        ids.map((id, at) => ({
          jsonrpc: '2.0',
          id,
          method: 'tools/call',
          params: { name: 'echo', arguments: at % 2 ? { aws_profile: 'dev' } : {} },
        })),
      );
    // After the second call, both profiles have their sessions.
    for (const ids of [
      [0, '', -1, 'x'],
      [1, 2, 3, 4],
    ]) {
      bin.send(batch(ids));
      for (const id of ids) expect(await bin.answer(id)).toHaveProperty('result');
    }
    const arrays = seen
      .filter(({ request }) => Array.isArray(request.json))
      .map(({ key, request: { json } }) => [key, (json as { id: unknown }[]).map(({ id }) => id)]);
    expect(arrays).toEqual([
      ['AKIDPROD', [0, -1]],
      ['AKIDDEV', ['', 'x']],
      ['AKIDPROD', [1, 3]],
      ['AKIDDEV', [2, 4]],
    ]);
  });

  it('a lost session of another profile is replaced, with the log level of the client', async () => {
    const { bin, by, call, forgetSessionsOf, of } = await ready();
    await bin.request('logging/setLevel', { level: 'warning' }, 'level');
    await call('echo', { aws_profile: 'dev' });
    forgetSessionsOf('dev');
    const answers = await Promise.all([1, 2, 3].map((id) => call('echo', { aws_profile: 'dev' }, id)));
    for (const answer of answers) expect(answer).toHaveProperty('result');
    expect(by('initialize')).toEqual(['AKIDPROD', 'AKIDDEV', 'AKIDDEV']);
    expect(of('dev', 'logging/setLevel')).toHaveLength(2);
    expect(await call('echo', {}, 'prod')).toHaveProperty('result');
    expect(by('tools/call').at(-1)).toBe('AKIDPROD 1');
  });

  it('the session of another profile remains when that of the default profile is lost', async () => {
    const { by, call, forgetSessionsOf } = await ready();
    await call('echo', { aws_profile: 'dev' });
    forgetSessionsOf('prod');
    expect(await call('echo', {})).toHaveProperty('result');
    expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    expect(await call('echo', { aws_profile: 'staging' })).toHaveProperty('result');
    expect(by('initialize')).toEqual(['AKIDPROD', 'AKIDDEV', 'AKIDPROD', 'AKIDSTAGING']);
  });

  it('a profile over --max-total-sessions gets an error with the cause; the other profiles go on', async () => {
    const { bin, by, call } = await ready({ args: ['--max-total-sessions', '2'] });
    expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    const { error } = (await call('echo', { aws_profile: 'staging' }, -1)) as { error: { message: string } };
    expect(error).toMatchObject({ code: -31015, data: { reason: 'no-session', mayHaveRun: false } });
    expect(error.message).toContain('2 of --max-total-sessions 2 are open');
    expect(await call('echo', { aws_profile: 'dev' }, 0)).toHaveProperty('result');
    expect(await bin.request('tools/list', {}, '')).toHaveProperty('result');
    expect(by('initialize')).toEqual(['AKIDPROD', 'AKIDDEV']);
  });

  it.each([
    [
      'staging2',
      'aws_profile "staging2" is not allowed: it must be one of prod, dev, staging, or left out for prod. The call was not sent.',
    ],
    [
      7,
      'aws_profile is not valid: it must be one of prod, dev, staging, or left out for prod. The call was not sent.',
    ],
  ])('a call with an unknown profile is refused and not sent: %j', async (given, message) => {
    const { bin, by, call } = await ready();
    await bin.request('tools/list', {}, 'list');
    expect(await call('echo', { aws_profile: given }, '')).toEqual({
      jsonrpc: '2.0',
      id: '',
      error: {
        code: -31018,
        message,
        data: { source: 'mcp-sigv4-proxy', reason: 'unknown-profile', mayHaveRun: false, allowed: PROFILES },
      },
    });
    expect(by('tools/call')).toEqual([]);
    expect(bin.stderr).toBe('');
  });
});

describe('a tool with its own argument aws_profile', () => {
  it('a tool with its own argument aws_profile keeps it, and the log states so once', async () => {
    const own = {
      name: 'own',
      inputSchema: { type: 'object', properties: { aws_profile: { type: 'string' } } },
    };
    const { bin, by, call, of } = await ready({
      tools: [own],
      args: ['--log-level', 'warn'],
      on: { 'tools/call': (_request, _response, context) => context.result({ content: [] }) },
    });
    const { result } = await bin.request('tools/list', {}, 'list');
    expect(result).toEqual({ tools: [own] });
    await call('own', { aws_profile: 'dev' });
    await call('own', { aws_profile: 'anything' });
    expect(by('tools/call')).toEqual(['AKIDPROD 1', 'AKIDPROD 1']);
    expect(of('prod', 'tools/call').map(({ params }) => params.arguments)).toEqual([
      { aws_profile: 'dev' },
      { aws_profile: 'anything' },
    ]);
    await bin.stderrMatching(/tool\.keeps-argument/);
    expect(bin.stderr.trim().split('\n')).toHaveLength(1);
    expect(JSON.parse(bin.stderr)).toMatchObject({ msg: 'tool.keeps-argument', tool: 'own' });
  });

  it.each([
    ['is not matched by --profile-tools', ['--profile-tools', 'other_*'], { type: 'object' }],
    ['takes no object', [], { type: 'string' }],
  ])('aws_profile passes unchanged if the tool %s', async (_what, args, inputSchema) => {
    const { bin, by, call, of } = await ready({
      tools: [{ name: 'tool', inputSchema }],
      args,
      on: { 'tools/call': (_request, _response, context) => context.result({ content: [] }) },
    });
    expect(await bin.request('tools/list', {}, 'list')).toMatchObject({
      result: { tools: [{ name: 'tool', inputSchema }] },
    });
    await call('tool', { aws_profile: 'dev' });
    expect(by('tools/call')).toEqual(['AKIDPROD 1']);
    expect(of('prod', 'tools/call')[0]?.params.arguments).toEqual({ aws_profile: 'dev' });
  });
});

describe("notifications of another profile's server", () => {
  it("notifications of another profile's server reach the client, except list_changed", async () => {
    const { bin, call, of, until } = await ready({
      on: {
        GET: async (_request, _response, { fallback, session }) => {
          await fallback();
          if (!session) return;
          for (const stream of session.streams) {
            stream.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
            stream.send({
              jsonrpc: '2.0',
              method: 'notifications/message',
              params: { level: 'info', data: session.id },
            });
          }
        },
      },
    });
    await bin.next(({ method }) => method === 'notifications/message');
    await call('echo', { aws_profile: 'dev' });
    await until('dev', 'GET');
    const { params } = await bin.next(({ method }) => method === 'notifications/message');
    expect(params).toMatchObject({ data: of('dev', 'GET')[0]?.session });
    const changes = bin.messages.filter(({ method }) => method === 'notifications/tools/list_changed');
    expect(changes).toHaveLength(1);
  });
});

describe('a server request on the standalone stream of one profile', () => {
  it("a server request on a profile's standalone stream pauses the time limit of calls in that session only", async () => {
    let ask: () => void = () => undefined;
    const { opened, open } = makeGate();
    const { bin, call, until } = await ready({
      args: ['--tool-timeout', '2'],
      on: {
        'tools/call': async ({ rpc }, _response, { fallback }) => {
          if (rpc.params?.name === 'sleep') await opened;
          await fallback();
        },
        GET: async (_request, _response, { fallback, session }) => {
          await fallback();
          ask = () => {
            for (const stream of session?.streams ?? [])
              stream.send({ jsonrpc: '2.0', id: 0, method: 'elicitation/create', params: { message: 'm' } });
          };
        },
      },
    });
    await call('echo', { aws_profile: 'dev' });
    await until('dev', 'GET');
    const held = call('sleep', { ms: 0, aws_profile: 'dev' }, 0);
    const other = call('sleep', { ms: 0 }, '');
    await Promise.all([until('dev', 'tools/call', 2), until('prod', 'tools/call')]);
    ask();
    await bin.next(({ method }) => method === 'elicitation/create');
    // The client does not answer: prod's call times out; dev's call, begun earlier, outlives its limit.
    expect(await other).toMatchObject({ error: { data: { reason: 'timeout' } } });
    open();
    expect(await held).toHaveProperty('result');
  });
});

describe('one profile', () => {
  it('a single profile adds no argument to tools and removes none from calls', async () => {
    const { bin, call, by } = await ready({ profiles: ['prod'], args: ['prod'] });
    const { result } = await bin.request('tools/list', {}, 'list');
    expect(JSON.stringify(result)).not.toContain('aws_profile');
    expect(textIn(await call('echo', { aws_profile: 'dev' }))).toEqual({ aws_profile: 'dev' });
    expect(by('tools/call')).toEqual(['AKIDPROD 1']);
  });
});
