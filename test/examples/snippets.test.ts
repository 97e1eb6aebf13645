import { expect, it } from 'vitest';
import { startedPool } from '../library/session-pool/memory-server.ts';
import { blocksIn, pageText } from '../support/doc-pages.ts';

const AsyncFunction = (async () => undefined).constructor as FunctionConstructor;

/** The blocks that are no file of examples/, which have tests of their own. */
const snippets = blocksIn('docs/library.md', 'js').filter((block) => !block.startsWith('// '));

it('each program in docs/library.md is a file of examples/, except for one snippet', () => {
  const programs = pageText('docs/library.md').match(/^<!-- example: [\w-]+\.mjs /gm) ?? [];
  expect([programs.length, snippets.length]).toEqual([blocksIn('docs/library.md', 'js').length - 1, 1]);
});

it('the snippet of docs/library.md that borrows a session calls both tools on it, and returns it', async () => {
  const { pool, server } = await startedPool();
  const calls: unknown[] = [];
  server.call = (name, { number }) => void calls.push([name, number]);
  await AsyncFunction('pool', snippets.join('\n'))(pool);
  expect(calls).toEqual([
    ['begin', 0],
    ['commit', 0],
  ]);
  expect(pool.metrics()).toMatchObject({ active: 0, borrows: 1, returns: 1 });
});
