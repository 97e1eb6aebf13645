// From spawn to the answer to initialize, written at once as clients do. Clients start a server with every conversation.
// The first start of all finds no code cache of Node or of the proxy.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export const rounds = { full: 15, quick: 2 };
export const kinds = ['node', 'floor', 'proxy'];

export async function run({ subject, open }) {
  const started = performance.now();
  if (subject.kind === 'node') {
    await once(spawn(process.execPath, ['-e', '0'], { env: subject.env, stdio: 'ignore' }), 'exit');
    const ms = performance.now() - started;
    return { ms, firstMs: ms };
  }
  const client = await open();
  const ms = performance.now() - started;
  await client.close();
  const startedFirst = performance.now();
  const first = await open([], { env: { NODE_DISABLE_COMPILE_CACHE: '1' } });
  const firstMs = performance.now() - startedFirst;
  await first.close();
  return { ms, firstMs };
}
