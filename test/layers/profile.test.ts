import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../src/core/errors/errors.ts';
import type { Message } from '../../src/core/jsonrpc/message.ts';
import { readLine, readMessages } from '../../src/core/jsonrpc/parse.ts';
import type { Call, Handler, Origin, Reply } from '../../src/core/pipeline/call.ts';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import { PerProfile } from '../../src/core/pipeline/per-profile.ts';
import { ToolCatalog } from '../../src/core/tools/catalog.ts';
import { ChangeStreams } from '../../src/core/tools/change-streams.ts';
import { profile } from '../../src/layers/profile.ts';
import { toolKnowledge } from '../../src/layers/tool-knowledge.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { makeCall, messageOf, RESULT, requestOf } from '../support/make-call.ts';

const schema = (properties?: unknown) => ({
  type: 'object',
  ...(properties === undefined ? {} : { properties }),
});
const TOOLS = [
  { name: 'plain', inputSchema: schema() },
  { name: 'get_a', inputSchema: schema({ a: { type: 'string' } }) },
  { name: 'own', inputSchema: schema({ aws_profile: { type: 'number' } }) },
  { name: 'shapeless', inputSchema: { type: 'string' } },
  { name: '', inputSchema: schema() },
];

interface RigOptions {
  readonly profiles?: readonly string[];
  readonly globs?: readonly string[];
  readonly tools?: readonly unknown[];
  /** The server's answers to tools/list in order; the last one repeats. */
  readonly lists?: readonly (Reply | ProxyError)[];
  /** Called with what is known of the profile, while its list is on its way. */
  readonly listing?: (tools: ToolCatalog) => void;
}

function makeRig({ profiles = ['prod', 'dev'], globs = [], tools = TOOLS, lists, listing }: RigOptions = {}) {
  const events = new Events();
  const reported: ProxyEvent[] = [];
  events.subscribe((event) => reported.push(event));
  const known = new PerProfile(() => new ToolCatalog());
  const toolsOf = (profile: string): ToolCatalog => known.of(profile);
  const sent: Call[] = [];
  let asked = 0;
  let reply: Reply = RESULT;
  const server: Handler = async (call) => {
    sent.push(call);
    if (call.message.kind !== 'request' || call.message.method !== 'tools/list') return reply;
    listing?.(toolsOf(call.profile));
    const list = lists?.[Math.min(asked++, lists.length - 1)] ?? listOf(JSON.stringify(tools));
    if (list instanceof ProxyError) throw list;
    return list;
  };
  const clock = new FakeClock();
  const layer = profile({ profiles, globs, toolsOf, clock, events });
  const handler = layer(
    toolKnowledge({ toolsOf, changeStreams: new ChangeStreams(), clock, events })(server),
  );
  const send = (message: Message, options: Partial<Call> = {}) =>
    handler({ ...makeCall(message).call, profile: profiles[0] ?? '', ...options });
  return {
    send,
    sent,
    reported,
    toolsOf,
    answers: (with_: Reply) => (reply = with_),
    call: (name: unknown, args?: unknown, id: number | string = 0) =>
      send(requestOf('tools/call', { name, ...(args === undefined ? {} : { arguments: args }) }, id)),
    /** The tools/call requests that were sent, with their profiles. */
    calls: () =>
      sent
        .filter(({ message }) => message.kind === 'request' && message.method === 'tools/call')
        .map(({ message, profile: name }) => [name, message.text]),
  };
}

function listOf(tools: string, more = ''): Reply {
  const [message] = readMessages(`{"jsonrpc":"2.0","id":0,"result":{"tools":${tools}${more}}}`);
  if (message?.kind !== 'response') throw new Error('no answer');
  return { kind: 'answer', message };
}

const textOf = (reply: Reply): string => (reply.kind === 'answer' ? reply.message.text : '');
const toolsIn = (reply: Reply): { name: string; inputSchema: { properties?: Record<string, unknown> } }[] =>
  JSON.parse(textOf(reply)).result.tools;

const DECLARED =
  '"aws_profile":{"type":"string","enum":["prod","dev"],"description":"AWS profile that this call uses; prod where left out."}';

describe('a list of tools', () => {
  const edited = async (tool: string, options: RigOptions = {}): Promise<string> => {
    const rig = makeRig({ ...options, lists: [listOf(`[${tool}]`)] });
    const text = textOf(await rig.send(requestOf('tools/list')));
    return text.slice('{"jsonrpc":"2.0","id":0,"result":{"tools":['.length, -']}}'.length);
  };

  it.each([
    [
      'added to other arguments, every other byte as it was',
      '{ "name":"a", "inputSchema" : {"type":"object","properties":{ "n":{"maximum":1.0,"x":9007199254740993} },"required":["n"]},"z":1e3 }',
      `{ "name":"a", "inputSchema" : {"type":"object","properties":{${DECLARED}, "n":{"maximum":1.0,"x":9007199254740993} },"required":["n"]},"z":1e3 }`,
    ],
    [
      'added to a tool without arguments',
      '{"name":"a","inputSchema":{"type":"object","properties":{}}}',
      `{"name":"a","inputSchema":{"type":"object","properties":{${DECLARED}}}}`,
    ],
    [
      'declared in a tool that forbids further arguments',
      '{"name":"a","inputSchema":{"additionalProperties":false,"type":"object"}}',
      `{"name":"a","inputSchema":{"properties":{${DECLARED}},"additionalProperties":false,"type":"object"}}`,
    ],
  ])('aws_profile in a tool list: %s', async (_what, tool, expected) => {
    expect(await edited(tool)).toBe(expected);
  });

  it.each([
    [
      'has an argument of that name',
      '{"name":"a","inputSchema":{"type":"object","properties":{"aws_profile":{}}}}',
    ],
    ['has a schema of another type', '{"name":"a","inputSchema":{"type":"string"}}'],
    ['has a schema that is no object', '{"name":"a","inputSchema":true}'],
    ['has no schema', '{"name":"a"}'],
    ['has properties that are none', '{"name":"a","inputSchema":{"type":"object","properties":[]}}'],
    ['has no name', '{"inputSchema":{"type":"object"}}'],
    ['is no tool', '7'],
  ])('aws_profile is not added to a tool that %s', async (_what, tool) => {
    expect(await edited(tool)).toBe(tool);
  });

  it('aws_profile is added only to tools that --profile-tools matches', async () => {
    const rig = makeRig({ globs: ['get_*', 'nothing'] });
    const shown = toolsIn(await rig.send(requestOf('tools/list')));
    expect(
      shown.filter(({ inputSchema }) => inputSchema.properties?.aws_profile).map(({ name }) => name),
    ).toEqual(['get_a', 'own']);
  });

  it('the tool catalog of the proxy has no aws_profile', async () => {
    const rig = makeRig();
    await rig.send(requestOf('tools/list'));
    expect(rig.toolsOf('prod').definitionOf('plain')).toEqual(TOOLS[0]);
  });

  it('a tool list that is an error passes', async () => {
    const [message] = readMessages('{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"no"}}');
    if (message?.kind !== 'response') throw new Error('no answer');
    const refusal: Reply = { kind: 'answer', message };
    expect(await makeRig({ lists: [refusal] }).send(requestOf('tools/list'))).toBe(refusal);
  });
});

describe('a call that names a profile', () => {
  it('a call with aws_profile uses that profile, without the argument, every other byte as it was', async () => {
    const rig = makeRig();
    const line = readLine(
      '{"jsonrpc":"2.0","id":-1,"method":"tools/call","params":{"name":"get_a","arguments":{"n":1.0, "aws_profile":"dev","big":9007199254740993}}}',
    );
    if (line.kind !== 'message') throw new Error(line.kind);
    expect(await rig.send(line.message)).toBe(RESULT);
    expect(rig.calls()).toEqual([
      [
        'dev',
        '{"jsonrpc":"2.0","id":-1,"method":"tools/call","params":{"name":"get_a","arguments":{"n":1.0, "big":9007199254740993}}}',
      ],
    ]);
    expect(rig.sent.at(-1)?.message.json).toEqual(JSON.parse(rig.sent.at(-1)?.message.text ?? ''));
  });

  it.each([0, '', -1, 'x'])('a call with aws_profile has the id that its client gave it: %j', async (id) => {
    const rig = makeRig();
    await rig.call('plain', { aws_profile: 'dev' }, id);
    expect(rig.sent.at(-1)?.message).toMatchObject({ id, json: { id } });
  });

  it('a call with aws_profile may name the default profile', async () => {
    const rig = makeRig();
    await rig.call('plain', { aws_profile: 'prod' });
    expect(rig.calls()).toEqual([['prod', expect.stringContaining('"arguments":{}')]]);
  });

  it.each([
    [
      'staging',
      'aws_profile "staging" is not allowed: it must be one of prod, dev, or left out for prod. The call was not sent.',
    ],
    [
      '',
      'aws_profile is not valid: it must be one of prod, dev, or left out for prod. The call was not sent.',
    ],
    [
      'a secret, not a name',
      'aws_profile is not valid: it must be one of prod, dev, or left out for prod. The call was not sent.',
    ],
    [
      0,
      'aws_profile is not valid: it must be one of prod, dev, or left out for prod. The call was not sent.',
    ],
    [
      null,
      'aws_profile is not valid: it must be one of prod, dev, or left out for prod. The call was not sent.',
    ],
    [
      ['dev'],
      'aws_profile is not valid: it must be one of prod, dev, or left out for prod. The call was not sent.',
    ],
    [
      '__proto__',
      'aws_profile "__proto__" is not allowed: it must be one of prod, dev, or left out for prod. The call was not sent.',
    ],
  ])('a call with the unknown aws_profile %j is refused and not sent', async (given, message) => {
    const rig = makeRig();
    await expect(rig.call('plain', { aws_profile: given })).rejects.toMatchObject({
      reason: 'unknown-profile',
      sent: 'no',
      message,
      details: { allowed: ['prod', 'dev'] },
    });
    expect(rig.calls()).toEqual([]);
  });

  it.each([
    ['keeps the argument if the tool has one of that name', 'own', { aws_profile: 7 }],
    ['keeps the argument if the tool takes no object', 'shapeless', { aws_profile: 'dev' }],
  ])('a call with aws_profile %s', async (_what, name, args) => {
    const rig = makeRig();
    await rig.call(name, args);
    expect(rig.calls()).toEqual([['prod', expect.stringContaining('aws_profile')]]);
  });

  it('a call keeps aws_profile if --profile-tools does not match the tool, and no list is requested', async () => {
    const rig = makeRig({ globs: ['other'] });
    await rig.call('plain', { aws_profile: 'dev' });
    expect(rig.calls()).toEqual([['prod', expect.stringContaining('aws_profile')]]);
    expect(rig.sent).toHaveLength(1);
  });

  it.each([[undefined], [null], ['aws_profile'], [['aws_profile']], [{}], [{ other: 1 }]])(
    'a call with arguments %j names no profile, and passes unchanged',
    async (args) => {
      const rig = makeRig();
      await rig.call('plain', args);
      expect(rig.calls()).toEqual([['prod', expect.any(String)]]);
      expect(rig.sent).toHaveLength(1);
    },
  );
});

describe('the owner of aws_profile', () => {
  const listings = (rig: ReturnType<typeof makeRig>): string[] =>
    rig.sent.flatMap(({ message, profile: name }) =>
      message.kind === 'request' && message.method === 'tools/list' ? [name] : [],
    );
  const list = (...tools: string[]): Reply => listOf(`[${tools.join(',')}]`);
  const OURS = '{"name":"a","inputSchema":{"type":"object"}}';
  const THEIRS = '{"name":"a","inputSchema":{"type":"object","properties":{"aws_profile":{}}}}';

  it('the owner of aws_profile is decided by the list that the client was shown', async () => {
    const rig = makeRig({ lists: [list(OURS), list(THEIRS)] });
    await rig.send(requestOf('tools/list'));
    rig.toolsOf('prod').invalidate();
    await rig.call('a', { aws_profile: 'dev' });
    await rig.send(requestOf('tools/list'));
    await rig.call('a', { aws_profile: 'dev' });
    expect(rig.calls().map(([name]) => name)).toEqual(['dev', 'prod']);
    expect(listings(rig)).toEqual(['prod', 'prod']);
  });

  it('the owner of aws_profile is decided by one list of that profile if the client never listed', async () => {
    const rig = makeRig();
    await Promise.all([1, 2, 3].map((id) => rig.call('plain', { aws_profile: 'dev' }, id)));
    await rig.call('get_a', { aws_profile: 'dev' }, 4);
    expect(rig.calls().map(([name]) => name)).toEqual(['dev', 'dev', 'dev', 'dev']);
    expect(listings(rig)).toEqual(['dev']);
    await expect(rig.call('plain', { aws_profile: 'staging' }, 5)).rejects.toMatchObject({
      reason: 'unknown-profile',
    });
    expect(listings(rig)).toEqual(['dev', 'prod']);
  });

  it('the owner of aws_profile is decided again after a list_changed', async () => {
    const rig = makeRig({ lists: [list(THEIRS), list(OURS)] });
    await rig.call('a', { aws_profile: 'dev' });
    rig.toolsOf('dev').invalidate();
    await rig.call('a', { aws_profile: 'dev' });
    expect(rig.calls().map(([name]) => name)).toEqual(['prod', 'dev']);
  });

  it('the owner of aws_profile is the tool if one of two tools of its name has it', async () => {
    const rig = makeRig({ lists: [list(OURS, THEIRS, OURS)] });
    expect(textOf(await rig.send(requestOf('tools/list')))).toContain(`[${OURS},${THEIRS},${OURS}]`);
    await rig.call('a', { aws_profile: 'dev' });
    expect(rig.calls()).toEqual([['prod', expect.stringContaining('"aws_profile":"dev"')]]);
    const twice = makeRig({ lists: [list(OURS, OURS)] });
    expect(textOf(await twice.send(requestOf('tools/list'))).split('"enum"')).toHaveLength(3);
  });

  it('the owner of aws_profile is decided by a second list if the first changed meanwhile, and not by a third', async () => {
    const once = makeRig();
    const asking = once.call('plain', { aws_profile: 'dev' });
    once.toolsOf('dev').invalidate();
    await asking;
    expect(once.calls()).toHaveLength(1);
    const rig = makeRig({ listing: (tools) => tools.invalidate() });
    await expect(rig.call('plain', { aws_profile: 'dev' })).rejects.toMatchObject({
      reason: 'tools-unknown',
      sent: 'no',
    });
    expect(rig.calls()).toEqual([]);
  });

  it('the owner of aws_profile stays unknown if the list fails, and the call is not sent', async () => {
    const [message] = readMessages('{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"down"}}');
    if (message?.kind !== 'response') throw new Error('no answer');
    const rig = makeRig({ lists: [{ kind: 'answer', message }, listOf(JSON.stringify(TOOLS))] });
    await expect(rig.call('plain', { aws_profile: 'dev' })).rejects.toMatchObject({
      reason: 'tools-unknown',
      sent: 'no',
      message: expect.stringContaining('down'),
    });
    expect(rig.calls()).toEqual([]);
    await rig.call('plain', { aws_profile: 'dev' });
    expect(rig.calls()).toHaveLength(1);
  });

  it("a list that fails for the call's own reason returns that reason for the call", async () => {
    const why = new ProxyError('no-credentials', 'Run aws sso login.', { sent: 'no' });
    const rig = makeRig({ lists: [why] });
    await expect(rig.call('plain', { aws_profile: 'dev' })).rejects.toBe(why);
    const unsure = new ProxyError('connection-lost', 'It broke.', { sent: 'maybe' });
    await expect(makeRig({ lists: [unsure] }).call('plain', { aws_profile: 'dev' })).rejects.toMatchObject({
      reason: 'tools-unknown',
      sent: 'no',
    });
  });

  it('a call with aws_profile to an unlisted tool is an error', async () => {
    const rig = makeRig();
    await expect(rig.call('absent', { aws_profile: 'dev' })).rejects.toMatchObject({
      reason: 'unknown-tool',
      sent: 'no',
    });
    expect(rig.calls()).toEqual([]);
  });

  it('a tool that owns aws_profile is logged once', async () => {
    const rig = makeRig();
    await rig.send(requestOf('tools/list'));
    await rig.send(requestOf('tools/list'));
    await rig.call('own', { aws_profile: 'dev' });
    expect(rig.reported).toEqual([{ type: 'tool.keeps-argument', tool: 'own', argument: 'aws_profile' }]);
  });
});

describe('a call without an id', () => {
  it('a notification with aws_profile is not sent, because a server could run it under another profile', async () => {
    const rig = makeRig();
    const call = (args: unknown) =>
      messageOf({ method: 'tools/call', params: { name: 'plain', arguments: args } });
    await expect(rig.send(call({ aws_profile: 'dev' }))).rejects.toMatchObject({ reason: 'invalid-request' });
    expect(rig.sent).toEqual([]);
    await rig.send(call({}));
    expect(rig.sent).toHaveLength(1);
  });
});

describe('other messages', () => {
  it.each(['initialize', 'resources/read', 'prompts/get', 'ping', 'completion/complete'])(
    'a message without aws_profile uses the default profile, unchanged: %s',
    async (method) => {
      const rig = makeRig();
      const message = requestOf(method, { aws_profile: 'dev', arguments: { aws_profile: 'dev' } });
      await rig.send(message);
      expect(rig.sent).toMatchObject([{ profile: 'prod', message }]);
    },
  );

  it('a response of the client uses the profile of the session that it answers', async () => {
    const rig = makeRig();
    const answer = messageOf({ id: 0, result: {} });
    await rig.send(answer, { profile: 'dev' });
    expect(rig.sent).toMatchObject([{ profile: 'dev', message: answer }]);
  });

  it.each([
    ['2025-11-25', { task: { taskId: 't-1', status: 'working' } }],
    ['2026-07-28', { resultType: 'task', taskId: 't-1' }],
  ])('a task request uses the profile that the task began with, revision %s', async (_revision, result) => {
    const rig = makeRig();
    const [message] = readMessages(JSON.stringify({ jsonrpc: '2.0', id: 0, result }));
    if (message?.kind !== 'response') throw new Error('no answer');
    rig.answers({ kind: 'answer', message });
    await rig.call('plain', { aws_profile: 'dev' });
    for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel']) {
      await rig.send(requestOf(method, { taskId: 't-1' }));
      expect(rig.sent.at(-1)?.profile).toBe('dev');
    }
    await rig.send(requestOf('tasks/get', { taskId: 't-2' }));
    expect(rig.sent.at(-1)?.profile).toBe('prod');
    await rig.send(requestOf('tasks/get', { taskId: 't-1' }), { client: { id: 'client-2' } });
    expect(rig.sent.at(-1)?.profile).toBe('prod');
    await rig.send(requestOf('tasks/list'));
    expect(rig.sent.at(-1)?.profile).toBe('prod');
  });
});

describe("notifications of another profile's server", () => {
  const origin = (name: string): Origin => ({ profile: name, gone: new Promise(() => undefined) });
  const heardBy = async (from: string, message: Message): Promise<Message[]> => {
    const received: Message[] = [];
    const rig = makeRig();
    await rig.send(requestOf('initialize'), {
      emit: async (below) => {
        received.push(below);
      },
    });
    await rig.sent[0]?.emit(message, origin(from));
    return received;
  };

  it.each(['tools', 'prompts', 'resources'])(
    'a list_changed for %s of another profile does not reach the client, whose lists differ',
    async (what) => {
      const changed = messageOf({ method: `notifications/${what}/list_changed` });
      expect(await heardBy('prod', changed)).toEqual([changed]);
      expect(await heardBy('dev', changed)).toEqual([]);
    },
  );

  it.each([
    messageOf({ method: 'notifications/progress', params: { progressToken: 0, progress: 1 } }),
    messageOf({ method: 'notifications/message', params: { level: 'info', data: 'x' } }),
    messageOf({ id: 0, method: 'elicitation/create', params: {} }),
  ])('a notification of another profile passes: $method', async (message) => {
    expect(await heardBy('dev', message)).toEqual([message]);
  });
});
