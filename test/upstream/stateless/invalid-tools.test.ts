import { describe, expect, it } from 'vitest';
import { readMessages } from '../../../src/core/jsonrpc/parse.ts';
import type { Reply } from '../../../src/core/pipeline/call.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import { InvalidTools } from '../../../src/upstream/stateless/invalid-tools.ts';

function makeInvalidTools() {
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  return { invalid: new InvalidTools(events), seen };
}

function answer(text: string): Reply {
  const [message] = readMessages(text);
  if (message?.kind !== 'response') throw new Error(`no answer: ${text}`);
  return { kind: 'answer', message, http: { status: 200, headers: {} } };
}

const textOf = (reply: Reply): string => (reply.kind === 'answer' ? reply.message.text : reply.kind);
const tool = (name: string, annotation: string): string =>
  `{"name":"${name}","inputSchema":{"properties":{"a":{"type":"string",${annotation}}}}}`;
const BAD = '"x-mcp-header":""';
const listOf = (...tools: string[]): string =>
  `{"jsonrpc":"2.0","id":-1,"result":{"n":1.0,"tools":[${tools.join(',')}],"nextCursor":""}}`;

describe('tools with invalid annotations', () => {
  it('tools with invalid annotations are left out, and nothing else changes', () => {
    const { invalid, seen } = makeInvalidTools();
    const good = tool('good', '"x-mcp-header":"A"');
    const reply = invalid.removeFrom(
      answer(listOf(good, tool('bad', BAD), '7', '{"n":12345678901234567890}')),
      'dev',
    );
    expect(textOf(reply)).toBe(listOf(good, '7', '{"n":12345678901234567890}'));
    expect(reply).toMatchObject({ http: { status: 200 } });
    expect(seen).toEqual([
      {
        type: 'tool.invalid',
        profile: 'dev',
        name: 'bad',
        reason: expect.stringMatching(/^a: x-mcp-header/),
      },
    ]);
  });

  it('tools with invalid annotations are found however the annotation is spelled', () => {
    const { invalid } = makeInvalidTools();
    expect(textOf(invalid.removeFrom(answer(listOf(tool('bad', '"x-mcp-h\\u0065ader":""'))), ''))).toBe(
      listOf(),
    );
  });

  it('tools with invalid annotations are logged once for each profile, name and defect', () => {
    const { invalid, seen } = makeInvalidTools();
    for (const profile of ['one', 'two', 'one']) {
      invalid.removeFrom(answer(listOf(tool('bad', BAD), tool('bad', '"x-mcp-header":7'))), profile);
    }
    expect(seen).toHaveLength(4);
  });

  it('tools with invalid annotations are logged only up to a readable number', () => {
    const { invalid, seen } = makeInvalidTools();
    const many = Array.from({ length: 1_200 }, (_, at) => tool(`bad${at}`, BAD));
    expect(textOf(invalid.removeFrom(answer(listOf(...many)), ''))).toBe(listOf());
    expect(seen).toHaveLength(1_000);
  });

  it.each([
    ['a list without any', listOf(tool('good', '"x-mcp-header":"A"'), '{}')],
    ['a list without annotations', listOf('{"name":"a"}')],
    ['an error', '{"jsonrpc":"2.0","id":0,"error":{"code":-32603,"message":"x-mcp-header"}}'],
    ['a result that is no list', '{"jsonrpc":"2.0","id":"","result":{"tools":{"x-mcp-header":""}}}'],
  ])('no tool with invalid annotations is found in %s, which stays unchanged', (_what, text) => {
    const { invalid } = makeInvalidTools();
    const reply = answer(text);
    expect(invalid.removeFrom(reply, '')).toBe(reply);
    expect(invalid.removeFrom({ kind: 'accepted' }, '')).toEqual({ kind: 'accepted' });
  });
});
