import { describe, expect, it } from 'vitest';
import { Tools } from '../../src/core/tools.ts';

const listed = (...tools: readonly unknown[]) => ({ jsonrpc: '2.0', id: 0, result: { tools } });

describe('the known tools', () => {
  it.each([
    ['nothing', { name: 't', inputSchema: {} }, { readOnly: false, idempotent: false, destructive: true }],
    [
      'that it only reads',
      { name: 't', annotations: { readOnlyHint: true } },
      { readOnly: true, idempotent: false, destructive: false },
    ],
    [
      'that it only reads, and destroys: the first wins',
      { name: 't', annotations: { readOnlyHint: true, destructiveHint: true } },
      { readOnly: true, idempotent: false, destructive: false },
    ],
    [
      'that it may be repeated and destroys nothing',
      { name: 't', annotations: { idempotentHint: true, destructiveHint: false } },
      { readOnly: false, idempotent: true, destructive: false },
    ],
    [
      'hints that are no booleans',
      { name: 't', annotations: { readOnlyHint: 'true', idempotentHint: 1, destructiveHint: 'no' } },
      { readOnly: false, idempotent: false, destructive: true },
    ],
    [
      'annotations that are no object',
      { name: 't', annotations: ['readOnlyHint'] },
      { readOnly: false, idempotent: false, destructive: true },
    ],
  ])('say of a tool that says %s', (_what, tool, expected) => {
    const tools = new Tools();
    tools.learn(listed(tool));
    expect(tools.annotationsOf('t')).toEqual(expected);
  });

  it('add up over the pages of a list, and follow a later list', () => {
    const tools = new Tools();
    tools.learn(listed({ name: 'a', annotations: { readOnlyHint: true } }));
    tools.learn(listed({ name: 'b' }, { name: '__proto__', annotations: { idempotentHint: true } }));
    expect(tools.size).toBe(3);
    expect(tools.annotationsOf('a')?.readOnly).toBe(true);
    expect(tools.annotationsOf('__proto__')?.idempotent).toBe(true);
    tools.learn(listed({ name: 'a' }));
    expect(tools.annotationsOf('a')?.readOnly).toBe(false);
  });

  it('know nothing of a tool that no list has named, nor after they were told to forget', () => {
    const tools = new Tools();
    expect(tools.annotationsOf('toString')).toBeUndefined();
    tools.learn(listed({ name: 'a', annotations: { readOnlyHint: true } }));
    tools.forget();
    expect(tools.annotationsOf('a')).toBeUndefined();
  });

  it.each([
    ['an error', { error: { code: -32601, message: 'no tools' } }],
    ['a result that is none', { result: null }],
    ['another result', { result: { prompts: [] } }],
    ['tools that are no list', { result: { tools: { a: 1 } } }],
    ['tools that are none', listed(null, 'a', 1, {}, { name: 7 }, [{ name: 'x' }])],
  ])('learn nothing from %s', (_what, response) => {
    const tools = new Tools();
    tools.learn(response);
    expect(tools.size).toBe(0);
  });

  it('are 10,000 at most; those that are known can still change', () => {
    const tools = new Tools();
    tools.learn(listed(...Array.from({ length: 10_001 }, (_, at) => ({ name: `t${at}` }))));
    expect(tools.size).toBe(10_000);
    tools.learn(listed({ name: 't0', annotations: { readOnlyHint: true } }, { name: 'late' }));
    expect(tools.annotationsOf('t0')?.readOnly).toBe(true);
    expect(tools.annotationsOf('late')).toBeUndefined();
  });
});
