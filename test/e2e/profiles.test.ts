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
  it('are offered as an argument of every tool', async () => {
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

  it('may be named before the endpoint and after it, in one list, in several or with commas', async () => {
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

  it('are not chosen by an argument in another case, which is refused unless the tool declares it', async () => {
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

  it('sign the calls that name them, each in a session of its own, and the server never sees the argument', async () => {
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

  it('open their sessions as the client opened its own, once for all calls that come first', async () => {
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

  it('that are open hear what the client says to every session', async () => {
    const { bin, call, of, until } = await ready();
    await call('echo', { aws_profile: 'dev' });
    await bin.request('logging/setLevel', { level: 'error' }, 'level');
    bin.notify('notifications/roots/list_changed');
    await until('dev', 'logging/setLevel');
    await until('dev', 'notifications/roots/list_changed');
    await until('prod', 'notifications/roots/list_changed');
    expect(of('staging')).toEqual([]);
  });

  it('get the region of their own, and --metadata, all of it', async () => {
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

  it('keep what the client itself put into _meta, and the region that --metadata names', async () => {
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

  it('each have --max-connections of their own', async () => {
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

  it('are all left when the client goes', async () => {
    const { bin, by, call, server } = await ready();
    for (const name of PROFILES) await call('echo', { aws_profile: name });
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(by('DELETE').sort()).toEqual(['AKIDDEV 2', 'AKIDPROD 1', 'AKIDSTAGING 3']);
    await server.until(() => server.connections.open === 0);
    expect(bin.stderr).toBe('');
  });

  it('count together for --max-total-sessions', async () => {
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

  it('may have more than one session each', async () => {
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

  it('are all replaced on SIGHUP', async () => {
    const { bin, by, call, until } = await ready();
    await call('echo', { aws_profile: 'dev' });
    bin.kill('SIGHUP');
    await Promise.all(['dev', 'prod'].map((name) => until(name, 'DELETE')));
    expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    expect(await call('echo', {})).toHaveProperty('result');
    expect(by('initialize').sort()).toEqual(['AKIDDEV', 'AKIDDEV', 'AKIDPROD', 'AKIDPROD']);
  });

  it('are left and opened anew on need where the client begins anew', async () => {
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
  it('brings its progress', async () => {
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

  it('asks the client in its middle, and two profiles’ questions of one id are told apart', async () => {
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
    'is cancelled in its own session, and nothing more is written for its id: %j',
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

  it('has its time limit, and its server is told', async () => {
    const { call, until } = await ready({ args: ['--tool-timeout', '1'] });
    // Opens the session and has the list read: what is cut before it was sent needs no word to the server.
    await expect.poll(() => call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    const answer = await call('sleep', { ms: 10_000, aws_profile: 'dev' }, 0);
    expect(answer).toMatchObject({ id: 0, error: { data: { reason: 'timeout' } } });
    await until('dev', 'notifications/cancelled');
  });

  it('is repeated where it did not run', async () => {
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

  it('is repeated where the tool only reads, as its server told the default profile', async () => {
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

  it('may stand in a batch beside others, and goes with those of its profile', async () => {
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
    // With the second one, both profiles have their sessions.
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

  it('finds a session that the server has lost opened anew, with the log level of the client', async () => {
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

  it('still has its session where that of the default profile was lost', async () => {
    const { by, call, forgetSessionsOf } = await ready();
    await call('echo', { aws_profile: 'dev' });
    forgetSessionsOf('prod');
    expect(await call('echo', {})).toHaveProperty('result');
    expect(await call('echo', { aws_profile: 'dev' })).toHaveProperty('result');
    expect(await call('echo', { aws_profile: 'staging' })).toHaveProperty('result');
    expect(by('initialize')).toEqual(['AKIDPROD', 'AKIDDEV', 'AKIDPROD', 'AKIDSTAGING']);
  });

  it('is refused a session where --max-total-sessions is reached, and hears so; the others go on', async () => {
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
  ])('that is none of them is refused, and nothing is sent: %j', async (given, message) => {
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

describe('a tool with an argument aws_profile of its own', () => {
  it('keeps it, and the log says so once', async () => {
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
  ])('is like a tool that %s: both go as they came', async (_what, args, inputSchema) => {
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

describe('what another profile’s server tells on its own', () => {
  it('reaches the client, but that its lists changed', async () => {
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

describe('a question on the stream of one profile’s session', () => {
  it('stops the time of the calls in that session, and of no other', async () => {
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
    // Nobody answers: prod's call has its limit, and dev's, begun before it, goes on beyond its own.
    expect(await other).toMatchObject({ error: { data: { reason: 'timeout' } } });
    open();
    expect(await held).toHaveProperty('result');
  });
});

describe('one profile', () => {
  it('adds no argument, and takes none away', async () => {
    const { bin, call, by } = await ready({ profiles: ['prod'], args: ['prod'] });
    const { result } = await bin.request('tools/list', {}, 'list');
    expect(JSON.stringify(result)).not.toContain('aws_profile');
    expect(textIn(await call('echo', { aws_profile: 'dev' }))).toEqual({ aws_profile: 'dev' });
    expect(by('tools/call')).toEqual(['AKIDPROD 1']);
  });
});
