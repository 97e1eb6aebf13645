import { spawn } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterThisTest } from './cleanup.ts';
import { freePort } from './connections.ts';

const PROGRAM = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url),
);

export interface EverythingServer {
  readonly url: string;
  close(): Promise<void>;
}

/** The reference server of the MCP project, in its Streamable HTTP mode, as a child process. */
export async function startEverythingServer(): Promise<EverythingServer> {
  for (let attempt = 1; ; attempt++) {
    // The server prints the port it was given, not the one it got.
    const port = await freePort();
    try {
      return await startAt(port);
    } catch (error) {
      // Somebody else has taken the port meanwhile.
      if (attempt === 3 || !String(error).includes('already in use')) throw error;
    }
  }
}

async function startAt(port: number): Promise<EverythingServer> {
  const child = spawn(process.execPath, [PROGRAM, 'streamableHttp'], {
    env: { PATH: process.env.PATH ?? '', PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  const ended = new Promise<void>((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', reject);
  });
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended.catch(() => undefined);
  };
  afterThisTest(close);
  const listening = new Promise<void>((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (/listening on port/.test(output)) resolve();
    });
  });
  const late = new AbortController();
  const first = await Promise.race([
    listening.then(() => 'listens' as const),
    ended.then(() => 'ended' as const),
    wait(20_000, 'late' as const, { signal: late.signal }),
  ]).finally(() => late.abort());
  if (first === 'listens') return { url: `http://127.0.0.1:${port}/mcp`, close };
  await close();
  throw new Error(`The everything server did not start: ${output}`);
}
