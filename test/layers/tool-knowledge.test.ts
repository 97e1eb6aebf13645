import { describe, expect, it } from 'vitest';
import type { Emit, Handler } from '../../src/core/call.ts';
import { Tools } from '../../src/core/tools.ts';
import { toolKnowledge } from '../../src/layers/tool-knowledge.ts';
import { answerOf, makeCall, messageOf, requestOf } from '../support/make-call.ts';

const LIST = { tools: [{ name: 'reader', annotations: { readOnlyHint: true } }] };
const READS = { readOnly: true, idempotent: false, destructive: false };

function make(next: Handler) {
  const known = new Map<string, Tools>();
  const toolsOf = (profile: string): Tools => {
    const tools = known.get(profile) ?? new Tools();
    known.set(profile, tools);
    return tools;
  };
  return { handler: toolKnowledge(toolsOf)(next), toolsOf };
}

const ORIGIN = { profile: 'other', gone: new Promise<void>(() => undefined) };

describe('what a tool says of itself', () => {
  it('is learned from every list that passes, for the profile that it was asked with', async () => {
    const { handler, toolsOf } = make(async () => answerOf({ result: LIST }));
    const reply = await handler({ ...makeCall(requestOf('tools/list')).call, profile: 'dev' });
    expect(reply).toMatchObject({ message: { json: { result: LIST } } });
    expect(toolsOf('dev').annotationsOf('reader')).toEqual(READS);
    expect(toolsOf('').annotationsOf('reader')).toBeUndefined();
  });

  it('is not learned from answers to anything else, nor from errors', async () => {
    for (const [method, answer] of [
      ['prompts/list', { result: LIST }],
      ['tools/list', { error: { code: -1, message: 'no' } }],
    ] as const) {
      const { handler, toolsOf } = make(async () => answerOf(answer));
      await handler(makeCall(requestOf(method)).call);
      expect(toolsOf('').size).toBe(0);
    }
  });

  it('is forgotten when a session begins', async () => {
    const { handler, toolsOf } = make(async () => answerOf({ result: {} }));
    toolsOf('').learn({ result: LIST });
    await handler(makeCall(requestOf('initialize')).call);
    expect(toolsOf('').size).toBe(0);
  });

  it('is kept when one of many HTTP clients begins its session', async () => {
    const { handler, toolsOf } = make(async () => answerOf({ result: {} }));
    toolsOf('').learn({ result: LIST });
    await handler({ ...makeCall(requestOf('initialize')).call, passage: { headers: {} } });
    expect(toolsOf('').size).toBe(1);
  });

  it('is forgotten when the server says that the list has changed, and the client hears it all the same', async () => {
    const changed = messageOf({ method: 'notifications/tools/list_changed' });
    const heard: unknown[] = [];
    const emit: Emit = async (message) => void heard.push(message);
    const { handler, toolsOf } = make(async (call) => {
      await call.emit(changed, ORIGIN);
      return answerOf({ result: {} });
    });
    toolsOf('other').learn({ result: LIST });
    toolsOf('').learn({ result: LIST });
    await handler(makeCall(requestOf('tools/call'), { emit }).call);
    expect(heard).toEqual([changed]);
    expect(toolsOf('other').size).toBe(0);
    expect(toolsOf('').size).toBe(1);
  });
});

it('leaves notifications and responses as they are', async () => {
  const { handler } = make(async () => ({ kind: 'accepted' }));
  const { call } = makeCall(messageOf({ method: 'notifications/initialized' }));
  expect(await handler(call)).toEqual({ kind: 'accepted' });
});
