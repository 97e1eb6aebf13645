import { describe, expect, it } from 'vitest';
import { ToolCatalog } from '../../../src/core/tools/catalog.ts';

const listed = (...tools: readonly unknown[]) => ({ jsonrpc: '2.0', id: 0, result: { tools } });

const page = (names: readonly string[], nextCursor?: string) => ({
  jsonrpc: '2.0',
  id: 0,
  result: { tools: names.map((name) => ({ name })), ...(nextCursor === undefined ? {} : { nextCursor }) },
});

describe('the tool catalog', () => {
  it.each([
    ['nothing', { name: 't', inputSchema: {} }, { readOnly: false, idempotent: false, destructive: true }],
    [
      'readOnlyHint',
      { name: 't', annotations: { readOnlyHint: true } },
      { readOnly: true, idempotent: false, destructive: false },
    ],
    [
      'readOnlyHint and destructiveHint, of which the first wins',
      { name: 't', annotations: { readOnlyHint: true, destructiveHint: true } },
      { readOnly: true, idempotent: false, destructive: false },
    ],
    [
      'idempotentHint and no destructiveHint',
      { name: 't', annotations: { idempotentHint: true, destructiveHint: false } },
      { readOnly: false, idempotent: true, destructive: false },
    ],
    [
      'hints that are not booleans',
      { name: 't', annotations: { readOnlyHint: 'true', idempotentHint: 1, destructiveHint: 'no' } },
      { readOnly: false, idempotent: false, destructive: true },
    ],
    [
      'annotations that are not an object',
      { name: 't', annotations: ['readOnlyHint'] },
      { readOnly: false, idempotent: false, destructive: true },
    ],
  ])('the tool catalog reads the annotations of a tool that declares %s', (_what, tool, expected) => {
    const tools = new ToolCatalog();
    tools.learn(listed(tool));
    expect(tools.annotationsOf('t')).toEqual(expected);
  });

  it('the tool catalog collects the pages of a list, and follows a later list', () => {
    const tools = new ToolCatalog();
    tools.learn(page(['a'], 'next'));
    expect(tools.complete).toBe(false);
    tools.learn(page(['b', '__proto__']), 'next');
    expect(tools.complete).toBe(true);
    expect(tools.size).toBe(3);
    expect(tools.definitionOf('__proto__')).toEqual({ name: '__proto__' });
    tools.learn(listed({ name: 'a', annotations: { readOnlyHint: true } }));
    expect(tools.annotationsOf('a')?.readOnly).toBe(true);
  });

  it('the tool catalog drops tools that a later complete list does not name', () => {
    const tools = new ToolCatalog();
    tools.learn(page(['a', 'b'], ''));
    tools.learn(page(['c']), '');
    tools.learn(page(['a'], 'p'));
    expect(tools.size).toBe(3);
    tools.learn(page(['d']), 'p');
    expect(['a', 'b', 'c', 'd'].filter((name) => tools.definitionOf(name))).toEqual(['a', 'd']);
  });

  it('the tool catalog assumes the worst of two tools of one name, on one page or on two', () => {
    const reads = { name: 't', annotations: { readOnlyHint: true, idempotentHint: true } };
    const writes = { name: 't', annotations: { destructiveHint: false } };
    const onOne = new ToolCatalog();
    onOne.learn(listed(writes, reads));
    expect(onOne.annotationsOf('t')).toEqual({ readOnly: false, idempotent: false, destructive: false });
    const onTwo = new ToolCatalog();
    onTwo.learn({ result: { tools: [reads], nextCursor: 'p2' } });
    expect(onTwo.annotationsOf('t')?.readOnly).toBe(true);
    onTwo.learn(listed(writes), 'p2');
    expect(onTwo.annotationsOf('t')?.readOnly).toBe(false);
    // The next list has only one of them.
    onTwo.learn(listed(reads));
    expect(onTwo.annotationsOf('t')?.readOnly).toBe(true);
  });

  it('the tool catalog keeps its tools when a page of an unknown list comes', () => {
    const tools = new ToolCatalog();
    tools.learn(page(['a']));
    tools.learn(page(['b'], 'more'), 'of another time');
    expect(['a', 'b'].filter((name) => tools.definitionOf(name))).toEqual(['a', 'b']);
    expect(tools.complete).toBe(true);
  });

  it('the tool catalog reads one list for concurrent callers, and another after an invalidation', async () => {
    const tools = new ToolCatalog();
    let ended: () => void = () => undefined;
    let asked = 0;
    const fill = () => {
      asked++;
      return new Promise<void>((resolve) => {
        ended = resolve;
      });
    };
    const both = [tools.fillOnce(fill), tools.fillOnce(fill)];
    expect(asked).toBe(1);
    const endFirst = ended;
    tools.invalidate();
    expect(tools.version).toEqual({ generation: 1, identity: 0 });
    const later = tools.fillOnce(fill);
    expect(asked).toBe(2);
    endFirst();
    await Promise.all(both);
    void tools.fillOnce(fill);
    expect(asked).toBe(2);
    ended();
    await later;
    void tools.fillOnce(fill);
    expect(asked).toBe(3);
  });

  it('the tool catalog reports a list that differs from the complete list before it, once, in any order', () => {
    const tools = new ToolCatalog();
    expect(tools.fingerprintOf()).toBeUndefined();
    expect(tools.learn(listed({ name: 'a' }, { name: 'b' }))).toBeUndefined();
    const fingerprint = tools.fingerprintOf();
    expect(fingerprint).toMatch(/^[0-9a-f]{16}$/);
    expect(tools.learn(listed({ name: 'b' }, { name: 'a' }))).toBeUndefined();
    expect(tools.fingerprintOf()).toBe(fingerprint);
    expect(tools.learn(listed({ name: 'b' }, { name: 'a', outputSchema: {} }))).toEqual({ announced: false });
    expect(tools.learn(listed({ name: 'b' }, { name: 'a', outputSchema: {} }))).toBeUndefined();
  });

  it('the tool catalog compares lists over all their pages, however they are cut', () => {
    const tools = new ToolCatalog();
    tools.learn(page(['a', 'b'], 'p2'));
    expect(tools.fingerprintOf()).toBeUndefined();
    tools.learn(page(['c']), 'p2');
    expect(tools.learn(page(['a', 'b', 'c']))).toBeUndefined();
    expect(tools.learn(page(['a'], 'p2'))).toBeUndefined();
    expect(tools.learn(page(['b']), 'p2')).toEqual({ announced: false });
  });

  it('the tool catalog keeps its fingerprint through an invalidation, and whether the client knows', () => {
    const tools = new ToolCatalog();
    tools.learn(page(['a']));
    tools.invalidate({ clientKnows: true });
    expect(tools.learn(page(['b']))).toEqual({ announced: true });
    tools.invalidate();
    expect(tools.learn(page(['c']))).toEqual({ announced: false });
    tools.invalidate();
    expect(tools.learn(page(['c']))).toBeUndefined();
  });

  it('the tool catalog keeps lists under different keys apart', () => {
    const tools = new ToolCatalog();
    tools.learn(page(['a'], 'next'));
    tools.learn(page(['x'], 'next'), undefined, 'other');
    tools.learn(page(['b']), 'next');
    expect(tools.learn(page(['y']), 'next', 'other')).toBeUndefined();
    expect(tools.learn(page(['a', 'b']))).toBeUndefined();
    expect(tools.fingerprintOf()).not.toBe(tools.fingerprintOf('other'));
    for (let view = 0; view < 100; view++) tools.learn(page(['a']), undefined, `v${view}`);
    expect(tools.fingerprintOf()).toBeUndefined();
  });

  it('the tool catalog has no annotations of an unlisted tool, or after an invalidation', () => {
    const tools = new ToolCatalog();
    expect(tools.annotationsOf('toString')).toBeUndefined();
    tools.learn(listed({ name: 'a', annotations: { readOnlyHint: true } }));
    tools.invalidate();
    expect(tools.annotationsOf('a')).toBeUndefined();
  });

  it.each([
    ['an error', { error: { code: -32601, message: 'no tools' } }],
    ['a result of null', { result: null }],
    ['another result', { result: { prompts: [] } }],
    ['tools that are not a list', { result: { tools: { a: 1 } } }],
    ['tools that are not valid', listed(null, 'a', 1, {}, { name: 7 }, [{ name: 'x' }])],
  ])('the tool catalog learns nothing from %s', (_what, response) => {
    const tools = new ToolCatalog();
    tools.learn(response);
    expect(tools.size).toBe(0);
  });

  it('the tool catalog holds at most 10,000 tools, and known ones can still change', () => {
    const tools = new ToolCatalog();
    const names = Array.from({ length: 10_001 }, (_, at) => `t${at}`);
    tools.learn(page(names, 'next'));
    expect(tools.size).toBe(10_000);
    tools.learn(listed({ name: 't0', title: 'now' }, { name: 'late' }), 'next');
    expect(tools.definitionOf('t0')).toEqual({ name: 't0', title: 'now' });
    expect(tools.annotationsOf('late')).toBeUndefined();
  });
});
