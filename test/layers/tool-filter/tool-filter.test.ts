import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Id, JsonObject } from '../../../src/core/jsonrpc/message.ts';
import { paramsOf } from '../../../src/core/jsonrpc/message.ts';
import type { Handler, Reply } from '../../../src/core/pipeline/call.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import { PerProfile } from '../../../src/core/pipeline/per-profile.ts';
import { ToolCatalog } from '../../../src/core/tools/catalog.ts';
import { ChangeStreams } from '../../../src/core/tools/change-streams.ts';
import { judgeTool, type ToolRules } from '../../../src/layers/tool-filter/rules.ts';
import { toolFilter } from '../../../src/layers/tool-filter/tool-filter.ts';
import { toolKnowledge } from '../../../src/layers/tool-knowledge.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import {
  answerOf,
  CANCELLED,
  makeCall,
  makeToolCall,
  messageOf,
  RESULT,
  requestOf,
} from '../../support/make-call.ts';
import { fc } from '../../support/property.ts';

const NOTHING: ToolRules = { readOnly: false, allowTool: [], denyTool: [] };
const READ_ONLY: ToolRules = { ...NOTHING, readOnly: true };

const reads = (name: string) => ({ name, annotations: { readOnlyHint: true } });
const writes = (name: string) => ({ name });

/** A server whose pages the test sets, with what is known of its tools between it and the filter. */
function filtered(rules: ToolRules, tools: readonly JsonObject[] = [reads('get'), writes('put')]) {
  const clock = new FakeClock();
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  const known = new PerProfile(() => new ToolCatalog());
  const toolsOf = (profile: string): ToolCatalog => known.of(profile);
  const server = {
    pages: [tools] as (readonly unknown[])[],
    listed: 0,
    called: [] as unknown[],
    list: undefined as (() => Promise<Reply>) | undefined,
  };
  const bottom: Handler = async ({ message }) => {
    const { cursor, name } = paramsOf(message);
    if (message.kind === 'response' || message.method !== 'tools/list') {
      server.called.push(name);
      return RESULT;
    }
    server.listed++;
    if (server.list) return server.list();
    const at = Number(cursor ?? 0);
    const more = at + 1 < server.pages.length ? { nextCursor: String(at + 1) } : {};
    return answerOf({ result: { tools: server.pages[at], ...more } });
  };
  const identity = { inDoubt: false };
  const isIdentityInDoubt = () => identity.inDoubt;
  const handler = toolFilter({ rules, toolsOf, isIdentityInDoubt, clock, events })(
    toolKnowledge({ toolsOf, changeStreams: new ChangeStreams(), clock, events })(bottom),
  );
  const list = async (cursor?: string): Promise<unknown> => {
    const reply = await handler(makeCall(requestOf('tools/list', cursor ? { cursor } : undefined)).call);
    const result = reply.kind === 'answer' ? reply.message.json.result : undefined;
    return (result as { tools: { name: unknown }[] }).tools.map((tool) => tool.name ?? tool);
  };
  const call = (name: string, id: Id = 0) =>
    handler(makeToolCall(id, name).call).then(
      () => 'ran',
      (error: { reason: string }) => error.reason,
    );
  return { identity, clock, seen, server, handler, toolsOf, list, call };
}

describe('the verdict on a tool', () => {
  it.each<[string, Partial<ToolRules>, boolean, string]>([
    ['get_one', {}, false, 'passes'],
    ['get_one', { readOnly: true }, true, 'passes'],
    ['get_one', { readOnly: true }, false, 'not-read-only'],
    ['get_one', { allowTool: ['get_*'] }, false, 'passes'],
    ['put_one', { allowTool: ['get_*', '???_one'] }, false, 'passes'],
    ['put_one', { allowTool: ['get_*'] }, true, 'not-allowed'],
    ['get_one', { denyTool: ['*_one'] }, true, 'denied'],
    ['get_one', { allowTool: ['*'], denyTool: ['get_one'] }, true, 'denied'],
    ['get_one', { allowTool: ['*'], denyTool: ['GET_*'] }, true, 'passes'],
    // An explicit allow passes --read-only, and takes nothing from what only reads.
    ['put_one', { readOnly: true, allowTool: ['put_*'] }, false, 'passes'],
    ['get_one', { readOnly: true, allowTool: ['put_*'] }, true, 'passes'],
    ['cut_one', { readOnly: true, allowTool: ['put_*'] }, false, 'not-read-only'],
    ['put_one', { readOnly: true, allowTool: ['put_*'], denyTool: ['put_one'] }, true, 'denied'],
    ['', { readOnly: true }, false, 'not-read-only'],
  ])('the filter decides on %j under %j, read-only: %s, is: %s', (name, rules, onlyReads, verdict) => {
    expect(judgeTool({ ...NOTHING, ...rules }, name, onlyReads)).toBe(verdict);
  });

  it('the filter never allows denied tools, nor writing tools that are not allowed', () => {
    const glob = fc.constantFrom('*', 'a*', '*b', 'ab', '?', '??');
    const rules = fc.record({
      readOnly: fc.boolean(),
      allowTool: fc.array(glob, { maxLength: 2 }),
      denyTool: fc.array(glob, { maxLength: 2 }),
    });
    fc.assert(
      fc.property(
        rules,
        fc.constantFrom('', 'a', 'ab', 'ba', 'c'),
        fc.boolean(),
        (given, name, onlyReads) => {
          const matches = (globs: readonly string[]) =>
            globs.some((one) => new RegExp(`^${one.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name));
          const allowed =
            matches(given.allowTool) || (given.readOnly ? onlyReads : given.allowTool.length === 0);
          expect(judgeTool(given, name, onlyReads) === 'passes').toBe(allowed && !matches(given.denyTool));
        },
      ),
    );
  });
});

describe('the list of tools', () => {
  it('a filtered list has only tools that declare to be read-only, on every page', async () => {
    const { server, list } = filtered(READ_ONLY);
    server.pages = [
      [reads('a'), writes('b'), { name: 'c', annotations: { readOnlyHint: 'true' } }],
      [writes('d'), { name: 'e', annotations: { readOnlyHint: true, destructiveHint: true } }],
    ];
    expect(await list()).toEqual(['a']);
    expect(await list('1')).toEqual(['e']);
  });

  it('a filtered list is the same object if everything passes', async () => {
    const { handler } = filtered({ ...NOTHING, denyTool: ['x'] });
    const { call } = makeCall(requestOf('tools/list'));
    const reply = await handler(call);
    expect(reply.kind === 'answer' && reply.message.text).toBe(
      '{"jsonrpc":"2.0","id":0,"result":{"tools":[{"name":"get","annotations":{"readOnlyHint":true}},{"name":"put"}]}}',
    );
  });

  it('a filtered list shows two tools of one name only if both are read-only', async () => {
    const { server, list, call } = filtered(READ_ONLY, [
      reads('twice'),
      writes('twice'),
      reads('both'),
      reads('both'),
    ]);
    expect(await list()).toEqual(['both', 'both']);
    expect(await call('twice')).toBe('tool-refused');
    server.pages = [[reads('far')], [writes('far')]];
    await list();
    expect(await list('1')).toEqual([]);
    expect(await list()).toEqual([]);
    expect(await call('far')).toBe('tool-refused');
  });

  it('a filtered list leaves out nameless tools, and keeps schemas and non-tools', async () => {
    const odd = { ...reads('odd'), inputSchema: 'none' };
    const { list } = filtered(READ_ONLY, [odd, { annotations: { readOnlyHint: true } }, 7 as never]);
    expect(await list()).toEqual(['odd', 7]);
  });

  it('a filtered list passes errors unchanged', async () => {
    const { server, handler } = filtered(READ_ONLY);
    server.list = async () => answerOf({ error: { code: -32004, message: 'Too many requests' } });
    const reply = await handler(makeCall(requestOf('tools/list')).call);
    expect(reply).toMatchObject({ message: { json: { error: { code: -32004 } } } });
  });
});

describe('a call', () => {
  it('a filtered call of a read-only tool passes, and needs no request once a list has passed', async () => {
    const { server, list, call } = filtered(READ_ONLY);
    await list();
    for (const id of [0, '', -1]) expect(await call('get', id)).toBe('ran');
    expect(server.listed).toBe(1);
  });

  it('a filtered call of another tool is refused with the name of the option, and never sent', async () => {
    const { server, handler, list } = filtered({ readOnly: true, allowTool: [], denyTool: ['g*'] });
    await list();
    await expect(handler(makeToolCall('', 'put').call)).rejects.toMatchObject({
      reason: 'tool-refused',
      code: -31_017,
      sent: 'no',
      message: expect.stringMatching(/"put".*readOnlyHint.*--read-only.*--allow-tool/),
    });
    await expect(handler(makeToolCall(-1, 'get').call)).rejects.toMatchObject({
      reason: 'tool-refused',
      message: expect.stringContaining('--deny-tool'),
    });
    const only = filtered({ ...NOTHING, allowTool: ['get'] });
    await expect(only.handler(makeToolCall(0, 'put').call)).rejects.toMatchObject({
      reason: 'tool-refused',
      message: expect.stringContaining('--allow-tool does not name it'),
    });
    expect([...server.called, ...only.server.called]).toEqual([]);
    expect(only.server.listed).toBe(0);
  });

  it('a filtered call with a task, or sent as a notification, is a call like any other', async () => {
    const { server, handler, list } = filtered(READ_ONLY);
    await list();
    const task = requestOf('tools/call', { name: 'put', arguments: {}, task: { ttl: 1 } }, '');
    await expect(handler(makeCall(task).call)).rejects.toMatchObject({ reason: 'tool-refused' });
    const untold = messageOf({ method: 'tools/call', params: { name: 'put' } });
    await expect(handler(makeCall(untold).call)).rejects.toMatchObject({ reason: 'tool-refused' });
    expect(server.called).toEqual([]);
  });

  it('a filtered call without a name is invalid', async () => {
    const { handler, server } = filtered(READ_ONLY);
    for (const params of [undefined, {}, { name: 7 }, { name: ['put'] }]) {
      await expect(handler(makeCall(requestOf('tools/call', params)).call)).rejects.toMatchObject({
        code: -32_600,
      });
    }
    expect(server.called).toEqual([]);
  });

  it('a filtered call of a tool allowed by name passes if the list names it, whatever its hints', async () => {
    const { server, call } = filtered({ readOnly: true, allowTool: ['p*'], denyTool: [] });
    expect(await call('put')).toBe('ran');
    expect(await call('Put')).not.toBe('ran');
    expect(await call('put ')).not.toBe('ran');
    expect(server.listed).toBe(1);
  });

  it('a filtered call before any list reads the whole list once, for all callers', async () => {
    const { server, call } = filtered(READ_ONLY);
    server.pages = [[writes('a')], [reads('b')]];
    expect(await Promise.all([call('b', 0), call('a', ''), call('b', -1)])).toEqual([
      'ran',
      'tool-refused',
      'ran',
    ]);
    expect(server.listed).toBe(2);
  });

  it('a filtered call uses a list of the last minute only: a tool that writes by now is refused', async () => {
    const { server, call, clock } = filtered(READ_ONLY);
    expect(await call('get')).toBe('ran');
    server.pages = [[writes('get')]];
    await clock.advance(60_000);
    expect([await call('get', ''), server.listed]).toEqual(['ran', 1]);
    await clock.advance(1);
    expect(await Promise.all([call('get', 0), call('get', -1), call('get', '')])).toEqual(
      Array(3).fill('tool-refused'),
    );
    expect([server.listed, server.called.length]).toEqual([2, 2]);
  });

  it('a filtered call is not sent if the list is too old and fails, and passes again later', async () => {
    const { server, call, clock } = filtered(READ_ONLY);
    expect(await call('get')).toBe('ran');
    await clock.advance(60_001);
    server.list = () => Promise.reject(new ProxyError('connect-failed', 'down', { sent: 'no' }));
    expect(await call('get', '')).toBe('tools-unknown');
    server.list = undefined;
    expect(await call('get', -1)).toBe('ran');
    expect(server.called).toHaveLength(2);
  });

  it('a filtered call of an unknown tool is distinct from a refused one and from a failed list', async () => {
    const { server, call, clock } = filtered(READ_ONLY);
    expect(await call('none')).toBe('unknown-tool');
    server.list = async () => answerOf({ error: { code: -32004, message: 'Too many requests' } });
    await clock.advance(5_000);
    expect(await call('other')).toBe('tools-unknown');
    // Known tools still work.
    expect(await call('get')).toBe('ran');
    expect(await call('put')).toBe('tool-refused');
  });

  it('a filtered call of an unknown tool refreshes the list once, and then not for some seconds', async () => {
    const { server, list, call, clock } = filtered(READ_ONLY);
    await list();
    server.pages = [[reads('get'), reads('new')]];
    expect(await call('new')).toBe('ran');
    expect(server.listed).toBe(2);
    server.pages = [[reads('get'), reads('new'), reads('newer')]];
    expect(await Promise.all([call('newer'), call('none')])).toEqual(['unknown-tool', 'unknown-tool']);
    expect(server.listed).toBe(2);
    await clock.advance(5_000);
    expect(await Promise.all([call('newer'), call('none')])).toEqual(['ran', 'unknown-tool']);
    expect(server.listed).toBe(3);
  });

  it('a filtered call requests a list that failed at once again at once', async () => {
    const { server, call } = filtered(READ_ONLY);
    server.list = async () => answerOf({ error: { code: 1, message: 'down' } });
    expect(await call('get', 0)).toBe('tools-unknown');
    server.list = undefined;
    expect(await call('get', '')).toBe('ran');
  });

  it('a filtered call does not request a list that failed slowly for each caller', async () => {
    const { server, call, clock } = filtered(READ_ONLY);
    server.list = async () => {
      await clock.advance(1_000);
      return answerOf({ error: { code: 1, message: 'down' } });
    };
    expect(await call('get', 0)).toBe('tools-unknown');
    expect(await call('get', '')).toBe('tools-unknown');
    expect(server.listed).toBe(1);
    server.list = undefined;
    await clock.advance(5_000);
    expect(await call('get', -1)).toBe('ran');
  });

  it('a filtered call requests the list again at once after a person has repaired the failure', async () => {
    const { server, call } = filtered(READ_ONLY);
    server.list = async () => {
      throw new ProxyError('no-credentials', 'log in', { sent: 'no' });
    };
    expect(await call('get', 0)).toBe('tools-unknown');
    server.list = undefined;
    expect(await call('get', '')).toBe('ran');
  });

  it('a filtered call requests the list again at once after a list_changed', async () => {
    const { server, list, call, toolsOf } = filtered(READ_ONLY);
    await list();
    expect(await call('new')).toBe('unknown-tool');
    toolsOf('').invalidate();
    server.pages = [[reads('new')]];
    expect(await call('new')).toBe('ran');
  });

  it('a filtered call requests the list again if the identity may have changed', async () => {
    const { server, identity, call, list } = filtered(READ_ONLY);
    await list();
    expect(await call('get', 0)).toBe('ran');
    identity.inDoubt = true;
    server.pages = [[writes('get')]];
    expect(await call('get', '')).toBe('tool-refused');
    identity.inDoubt = false;
    expect(await call('get', -1)).toBe('tool-refused');
    expect(server.called).toEqual(['get']);
    expect(server.listed).toBe(2);
  });

  it('a filtered call is to be retried if the list changed while it was read', async () => {
    const { server, call, toolsOf } = filtered(READ_ONLY);
    server.list = async () => {
      toolsOf('').invalidate();
      return answerOf({ result: { tools: [reads('get')] } });
    };
    expect(await call('get')).toBe('tools-unknown');
    expect(server.called).toEqual([]);
  });

  it('a filtered call that is cancelled while it waits for the list leaves the list to the others', async () => {
    const { server, handler, call } = filtered(READ_ONLY);
    let answer: (reply: Reply) => void = () => undefined;
    server.list = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const leaver = makeToolCall('leaves', 'get');
    const leaves = handler(leaver.call);
    const stays = call('get', 'stays');
    leaver.cancel();
    await expect(leaves).rejects.toBe(CANCELLED);
    answer(answerOf({ result: { tools: [reads('get')] } }));
    expect(await stays).toBe('ran');
    expect(server.called).toEqual(['get']);
  });

  it('a filtered call with another profile is judged by the list of that profile', async () => {
    const { handler, toolsOf, server } = filtered(READ_ONLY);
    toolsOf('').learn({ result: { tools: [reads('t')] } });
    toolsOf('dev').learn({ result: { tools: [writes('t')] } });
    const { call } = makeToolCall(0, 't');
    await expect(handler({ ...call, profile: 'dev' })).rejects.toMatchObject({ reason: 'tool-refused' });
    await handler(call);
    expect(server.listed).toBe(0);
  });

  it('a filtered call may have any name, and the error quotes only what is readable', async () => {
    const { handler, list } = filtered(READ_ONLY);
    await list();
    const name = `line\n"${'x'.repeat(10_000)}`;
    const error = await handler(makeToolCall(0, name).call).catch((failure: Error) => failure.message);
    expect(error).toContain('"line\\n\\"xxx');
    expect(String(error).length).toBeLessThan(400);
  });
});

describe('events of the filter', () => {
  const of = (seen: readonly ProxyEvent[], type: ProxyEvent['type']) =>
    seen.filter((event) => event.type === type);

  it('the filter logs once that a server without hints has no visible tools, and the remedy', async () => {
    const { list, seen } = filtered(READ_ONLY, [writes('get_it'), writes('put_it')]);
    expect(await list()).toEqual([]);
    expect(await list()).toEqual([]);
    expect(of(seen, 'tools.all-hidden')).toEqual([
      {
        type: 'tools.all-hidden',
        profile: '',
        tools: 2,
        message: expect.stringMatching(/--read-only hides all 2 tools.*--allow-tool "get_it"/),
      },
    ]);
  });

  it('the filter does not log that all tools are hidden if one page has a visible tool, or if there are none', async () => {
    const { server, list, seen } = filtered(READ_ONLY);
    server.pages = [[writes('a')], [reads('b')]];
    expect(await list()).toEqual([]);
    expect(await list('1')).toEqual(['b']);
    expect(of(seen, 'tools.all-hidden')).toEqual([]);
    const none = filtered(READ_ONLY, []);
    await none.list();
    expect(of(none.seen, 'tools.all-hidden')).toEqual([]);
  });

  it.each<[Partial<ToolRules>, RegExp]>([
    [{ allowTool: ['x*'] }, /--allow-tool and --deny-tool leave none/],
    [{ denyTool: ['*'] }, /--deny-tool hides all 2/],
  ])('the filter logs that %j leaves no tools', async (rules, text) => {
    const { list, seen } = filtered({ ...NOTHING, ...rules });
    await list();
    expect(of(seen, 'tools.all-hidden')).toMatchObject([{ message: expect.stringMatching(text) }]);
  });

  it('the filter logs which globs match no tool of a complete list', async () => {
    const { server, list, seen } = filtered({
      readOnly: true,
      allowTool: ['b', 'nothing*'],
      denyTool: ['typo'],
    });
    server.pages = [[reads('a')], [writes('b')]];
    await list();
    expect(of(seen, 'tools.glob-unmatched')).toEqual([]);
    await list('1');
    await list('1');
    expect(of(seen, 'tools.glob-unmatched')).toMatchObject([
      { option: '--allow-tool', glob: 'nothing*' },
      { option: '--deny-tool', glob: 'typo' },
    ]);
  });

  it('the filter logs which tools were hidden, and why', async () => {
    const { list, seen } = filtered({ readOnly: true, allowTool: [], denyTool: ['d*'] }, [
      reads('a'),
      writes('b'),
      reads('d'),
    ]);
    await list();
    expect(of(seen, 'tools.hidden')).toEqual([
      { type: 'tools.hidden', profile: '', names: ['b (not-read-only)', 'd (denied)'], more: 0 },
    ]);
  });
});

it('the filter passes everything else', async () => {
  const { handler, server } = filtered({ readOnly: true, allowTool: [], denyTool: ['*'] });
  for (const method of [
    'prompts/get',
    'resources/read',
    'tasks/result',
    'completion/complete',
    'vendor/run',
  ]) {
    await handler(makeCall(requestOf(method, { name: 'put' })).call);
  }
  await handler(makeCall(messageOf({ method: 'notifications/initialized' })).call);
  await handler(makeCall(messageOf({ id: '', result: { name: 'put' } })).call);
  expect(server.called).toHaveLength(7);
});

it('the filter handles a thousand tools over ten pages, page by page and in one pass', async () => {
  const tools = Array.from({ length: 1_000 }, (_, at) => (at % 3 === 0 ? reads(`t${at}`) : writes(`t${at}`)));
  const { server, list, call } = filtered(READ_ONLY);
  server.pages = Array.from({ length: 10 }, (_, page) => tools.slice(page * 100, page * 100 + 100));
  expect(await call('t999')).toBe('ran');
  expect(server.listed).toBe(10);
  const shown = [];
  for (let page = 0; page < 10; page++) shown.push(await list(page === 0 ? undefined : String(page)));
  expect(shown.flat()).toEqual(tools.filter((_, at) => at % 3 === 0).map(({ name }) => name));
  expect(await call('t998')).toBe('tool-refused');
  expect(server.listed).toBe(20);
});
