import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Response } from '../../../src/core/jsonrpc/message.ts';
import type { Handler } from '../../../src/core/pipeline/call.ts';
import { ToolCatalog } from '../../../src/core/tools/catalog.ts';
import { editTools, fillTools, ListEdits, listRequest } from '../../../src/core/tools/list-edit.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { answerOf, CANCELLED, makeToolCall, requestOf } from '../../support/make-call.ts';

function listOf(text: string): Response {
  const json = JSON.parse(text);
  return { kind: 'response', text, json, id: json.id, outcome: 'result' };
}

const LIST = listOf(
  '{"id":-1, "result":{"x":1.0,"tools": [ {"name":"a","n":12345678901234567890}, {"name":"b"} ,7 ],"nextCursor":"n"},"jsonrpc":"2.0"}',
);

describe('the edited list of tools', () => {
  it('the edited list is the list itself if no tool was edited, or if it is no list', () => {
    expect(editTools(LIST, (_tool, text) => text)).toBe(LIST);
    const error = listOf('{"id":0,"error":{"code":1,"message":"no"}}');
    expect(editTools(error, () => undefined)).toBe(error);
  });

  it('the edited list keeps the bytes of everything but the edited tools', () => {
    const edited = editTools(LIST, ({ name }, text) => (name === 'b' ? '{"name":"b","more":0}' : text));
    expect(edited.text).toBe(
      '{"id":-1, "result":{"x":1.0,"tools": [{"name":"a","n":12345678901234567890},{"name":"b","more":0},7],"nextCursor":"n"},"jsonrpc":"2.0"}',
    );
    expect(edited.json).toEqual(JSON.parse(edited.text));
    expect(edited.id).toBe(-1);
  });

  it('the edited list leaves tools out, down to an empty list', () => {
    const edited = editTools(listOf('{"id":"","result":{"tools":[{"name":"a"}]}}'), () => undefined);
    expect(edited.text).toBe('{"id":"","result":{"tools":[]}}');
    expect(edited.json).toEqual({ id: '', result: { tools: [] } });
  });
});

describe('lists that one layer edits', () => {
  const again = (response: Response, id: string): Response => ({
    ...response,
    text: response.text.replace('-1', () => id),
    json: { ...response.json, id: JSON.parse(id) },
    id: JSON.parse(id),
  });

  it('a list is edited once for all clients', () => {
    const edits = new ListEdits();
    let asked = 0;
    const edit = ({ name }: { readonly name?: unknown }, text: string) => {
      asked++;
      return name === 'b' ? undefined : text;
    };
    const first = edits.of(LIST, edit);
    expect(first.text).toBe(editTools(LIST, edit).text);
    asked = 0;
    const second = edits.of(again(LIST, '"\\u0030"'), edit);
    expect(asked).toBe(0);
    expect(second.text).toContain('"id":"\\u0030"');
    expect(second.json).toEqual({ ...first.json, id: '0' });
    expect(second.json.result).toBe(first.json.result);
  });

  it('a list passes as it came if no tool was edited', () => {
    const edits = new ListEdits();
    expect(edits.of(LIST, (_tool, text) => text)).toBe(LIST);
    const later = again(LIST, '0');
    expect(edits.of(later, () => undefined)).toBe(later);
  });

  it('the edited lists of two layers are independent', () => {
    const [one, two] = [new ListEdits(), new ListEdits()];
    const drop = (dropped: string) => (tool: { readonly name?: unknown }, text: string) =>
      tool.name === dropped ? undefined : text;
    for (const id of ['0', '""']) {
      const shown = two.of(one.of(again(LIST, id), drop('a')), drop('b'));
      expect(shown.json).toMatchObject({ id: JSON.parse(id), result: { tools: [7] } });
    }
  });
});

describe("the proxy's own request for the list", () => {
  it('the list request for a session-era message carries a cursor if it continues', () => {
    const { id, json } = listRequest(requestOf('tools/call', { name: 't', _meta: { progressToken: 0 } }), '');
    expect(json).toEqual({ jsonrpc: '2.0', id, method: 'tools/list', params: { cursor: '' } });
    expect(listRequest(requestOf('tools/call', { name: 't' }), undefined).json).not.toHaveProperty('params');
  });

  it('the list request carries the envelope of a stateless message, and not its progress token', () => {
    const envelope = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
    };
    const request = requestOf('tools/call', {
      name: 't',
      _meta: { ...envelope, progressToken: 0, other: 1 },
    });
    expect(listRequest(request, undefined).json.params).toEqual({ _meta: envelope });
  });

  it('the list request never has the same id twice', () => {
    const { id } = listRequest(requestOf('tools/call'), undefined);
    expect(listRequest(requestOf('tools/call'), undefined).id).not.toBe(id);
  });
});

describe('reading the whole list', () => {
  const pages: Record<string, unknown> = {
    first: { tools: [{ name: 'a' }], nextCursor: 'p2' },
    p2: { tools: [{ name: 'b' }] },
  };

  it('the list is read page by page, once for all callers, each under its own profile', async () => {
    const tools = new ToolCatalog();
    const cursors: unknown[] = [];
    const next: Handler = async ({ message, profile }) => {
      const { cursor } = (message.json.params ?? {}) as { cursor?: string };
      cursors.push([cursor, profile]);
      return answerOf({ result: pages[cursor ?? 'first'] });
    };
    const call = { ...makeToolCall().call, profile: 'dev' };
    await Promise.all([
      fillTools(tools, next, call, new FakeClock()),
      fillTools(tools, next, call, new FakeClock()),
    ]);
    expect(cursors).toEqual([
      [undefined, 'dev'],
      ['p2', 'dev'],
    ]);
  });

  it.each([
    ['an error', { error: { code: -32004, message: 'Too many requests' } }, 'Too many requests'],
    ['no list', { result: 5 }, 'did not answer tools/list with a list'],
  ])(
    'reading the list throws one coded error to its callers if the server answers with %s',
    async (_what, answer, words) => {
      const filled = fillTools(
        new ToolCatalog(),
        async () => answerOf(answer),
        makeToolCall().call,
        new FakeClock(),
      );
      await expect(filled).rejects.toMatchObject({
        reason: 'tools-unknown',
        sent: 'no',
        message: expect.stringContaining(words),
      });
    },
  );

  it('reading the list starts once more if it was invalidated meanwhile, and not a third time', async () => {
    const tools = new ToolCatalog();
    let asked = 0;
    const overtaking =
      (times: number): Handler =>
      async () => {
        if (asked++ < times) tools.invalidate();
        else tools.learn({ result: { tools: [{ name: 'a' }] } });
        return answerOf({ result: { tools: [] } });
      };
    await fillTools(tools, overtaking(1), makeToolCall().call, new FakeClock());
    expect([asked, tools.complete]).toEqual([2, true]);
    asked = 0;
    await fillTools(tools, overtaking(9), makeToolCall().call, new FakeClock());
    expect([asked, tools.complete]).toEqual([2, false]);
  });

  it('reading the list fails for the HTTP client whose session is gone, and goes on for the others', async () => {
    const tools = new ToolCatalog();
    const next: Handler = async ({ httpContext }) =>
      httpContext?.headers['mcp-session-id'] === 'gone'
        ? answerOf({ error: { code: -32001, message: 'Session not found' } }, { status: 404 })
        : answerOf({ result: { tools: [{ name: 'a' }] } });
    const callOf = (session: string) => ({
      ...makeToolCall().call,
      httpContext: { headers: { 'mcp-session-id': session } },
    });
    const gone = fillTools(tools, next, callOf('gone'), new FakeClock());
    const waits = fillTools(tools, next, callOf('living'), new FakeClock());
    const alsoGone = fillTools(tools, next, callOf('gone'), new FakeClock());
    // By which it opens a new one.
    await expect(gone).rejects.toMatchObject({ reason: 'session-lost', sent: 'no' });
    await expect(alsoGone).rejects.toMatchObject({ reason: 'session-lost' });
    await waits;
  });

  it('reading the list starts again for the other HTTP clients if the server refuses the first', async () => {
    let asked = 0;
    const next: Handler = async ({ httpContext }) => {
      asked++;
      return httpContext?.headers.accept === 'nothing'
        ? answerOf({ error: { code: -32000, message: 'Not you' } }, { status: 406 })
        : answerOf({ result: { tools: [] } });
    };
    const callOf = (accept: string) => ({ ...makeToolCall().call, httpContext: { headers: { accept } } });
    const tools = new ToolCatalog();
    const refused = fillTools(tools, next, callOf('nothing'), new FakeClock());
    const waits = fillTools(tools, next, callOf('json'), new FakeClock());
    await expect(refused).rejects.toMatchObject({ reason: 'tools-unknown' });
    await waits;
    expect(asked).toBe(2);
  });

  it('reading the list ends if cursors repeat for ever', async () => {
    const next: Handler = async () => answerOf({ result: { tools: [], nextCursor: 'again' } });
    await expect(fillTools(new ToolCatalog(), next, makeToolCall().call, new FakeClock())).rejects.toThrow(
      'goes round in a circle of pages',
    );
  });

  it('reading the list precedes the call, which did not run if its time is over', async () => {
    const late = new ProxyError('timeout', 'may have run', { sent: 'maybe', ifUnsent: 'did not run' });
    const { call, cancel } = makeToolCall('');
    const waits = fillTools(new ToolCatalog(), () => new Promise(() => undefined), call, new FakeClock());
    cancel(late);
    await expect(waits).rejects.toMatchObject({ reason: 'timeout', sent: 'no', message: 'did not run' });
  });

  it('reading the list goes on when one caller aborts, and ends at its own limit', async () => {
    const clock = new FakeClock();
    const tools = new ToolCatalog();
    const next: Handler = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    const leaver = makeToolCall(0);
    const stays = fillTools(tools, next, makeToolCall(-1).call, clock);
    const leaves = fillTools(tools, next, leaver.call, clock);
    leaver.cancel();
    await expect(leaves).rejects.toBe(CANCELLED);
    const ended = expect(stays).rejects.toThrow('no answer within 60 s');
    await clock.advance(60_000);
    await ended;
  });
});
