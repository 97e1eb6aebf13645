import { expect, it } from 'vitest';
import { type Call, compose, type Layer, NO_DEADLINE, type Reply } from '../../../src/core/pipeline/call.ts';

it('the first layer listed is the outermost', async () => {
  const seen: string[] = [];
  const layer =
    (name: string): Layer =>
    (next) =>
    async (call) => {
      seen.push(`${name} in`);
      const reply = await next(call);
      seen.push(`${name} out`);
      return reply;
    };
  const accepted: Reply = { kind: 'accepted' };
  const handler = compose([layer('a'), layer('b')], async () => {
    seen.push('bottom');
    return accepted;
  });
  const call: Call = {
    message: { kind: 'notification', text: '{}', json: {}, method: 'x' },
    client: { id: 'c' },
    profile: '',
    signal: new AbortController().signal,
    emit: () => Promise.resolve(),
    deadline: NO_DEADLINE,
  };
  expect(await handler(call)).toBe(accepted);
  expect(seen).toEqual(['a in', 'b in', 'bottom', 'b out', 'a out']);
});
