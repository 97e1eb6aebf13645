import { describe, expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Handler } from '../../../src/core/pipeline/call.ts';
import { ToolCatalog } from '../../../src/core/tools/catalog.ts';
import { fillTools } from '../../../src/core/tools/list-fetch.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { answerOf, CANCELLED, makeToolCall } from '../../support/make-call.ts';

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
