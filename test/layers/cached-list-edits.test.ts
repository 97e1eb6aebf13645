import { expect, it } from 'vitest';
import { compose, type Handler, type Reply } from '../../src/core/pipeline/call.ts';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import { PerProfile } from '../../src/core/pipeline/per-profile.ts';
import { ToolCatalog } from '../../src/core/tools/catalog.ts';
import { ChangeStreams } from '../../src/core/tools/change-streams.ts';
import { pages } from '../../src/layers/pages.ts';
import { profile } from '../../src/layers/profile.ts';
import { toolCache } from '../../src/layers/tool-cache/tool-cache.ts';
import { toolFilter } from '../../src/layers/tool-filter/tool-filter.ts';
import { toolKnowledge } from '../../src/layers/tool-knowledge.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { answerOf, makeCall, requestOf } from '../support/make-call.ts';

/** All layers that read or edit lists, in their order, with a cache that keeps lists. */
function stack() {
  const clock = new FakeClock();
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  const known = new PerProfile(() => new ToolCatalog());
  const toolsOf = (name: string): ToolCatalog => known.of(name);
  const changeStreams = new ChangeStreams();
  const deps = { toolsOf, isIdentityInDoubt: () => false, changeStreams, clock, events };
  const server: Handler = ({ message }) => {
    const id = message.kind === 'request' ? message.id : 0;
    const tool = (name: string) => ({ name, inputSchema: { type: 'object' } });
    return Promise.resolve(answerOf({ id, result: { tools: [tool('get'), tool('put')] } }));
  };
  const handler = compose(
    [
      profile({ profiles: ['a', 'b'], globs: [], toolsOf, clock, events }),
      toolFilter({ ...deps, rules: { readOnly: false, allowTool: [], denyTool: ['put'] } }),
      toolCache({ ...deps, ttlMs: 1_000 }),
      pages({ how: 'merge', maxLineBytes: 0, clock, events }),
      toolKnowledge(deps),
    ],
    server,
  );
  const list = async (id: number | string): Promise<Reply> =>
    handler({ ...makeCall(requestOf('tools/list', {}, id)).call, profile: 'a' });
  const edits = () => seen.filter(({ type }) => type === 'tools.hidden').length;
  return { list, edits };
}

it('each layer edits a kept list once: what it has edited is recognized in every later answer', async () => {
  const { list, edits } = stack();
  const results: unknown[] = [];
  for (const id of [0, '', -1]) {
    const reply = await list(id);
    if (reply.kind !== 'answer') throw new Error('no answer');
    const { message } = reply;
    expect(JSON.parse(message.text)).toMatchObject({
      id,
      result: { tools: [{ name: 'get', inputSchema: { properties: { aws_profile: { type: 'string' } } } }] },
    });
    results.push(message.json.result);
  }
  // A copy of the result anywhere in the stack would be edited again.
  expect(edits()).toBe(1);
  expect(new Set(results).size).toBe(1);
});
