// Starts what HTTP clients talk to: the proxy with --listen, and the bare reverse proxy that it is held against.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** @param {readonly string[]} args - of node: the bin, the endpoint, how it signs. */
export async function startListener(args, env, flags = []) {
  const listen = ['--listen', '127.0.0.1:0', '--log-level', 'info'];
  const child = spawn(process.execPath, [...args, ...listen, ...flags], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  for await (const line of createInterface({ input: child.stderr })) {
    if (line.includes('"listener.opened"')) {
      child.stderr.resume();
      return { url: JSON.parse(line).url, pid: child.pid, stop: () => child.kill('SIGKILL') };
    }
  }
  throw new Error('the listener ended before it listened');
}

export async function startBareProxy(url, connections) {
  const child = fork(fileURLToPath(new URL('./bare-proxy.mjs', import.meta.url)), [url, String(connections)]);
  const [{ url: own }] = await once(child, 'message');
  return { url: own, pid: child.pid, stop: () => child.kill('SIGKILL') };
}
