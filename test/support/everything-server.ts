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
  // The server prints the port it was given, not the one it got.
  const port = await freePort();
  const child = spawn(process.execPath, [PROGRAM, 'streamableHttp'], {
    env: { PATH: process.env.PATH ?? '', PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  let over = false;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      over = true;
      resolve();
    });
    child.once('error', (error) => {
      over = true;
      output += error.message;
      resolve();
    });
  });
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  afterThisTest(close);
  for (const deadline = Date.now() + 20_000; !/listening on port/.test(output); await wait(20)) {
    if (over || Date.now() > deadline) {
      await close();
      throw new Error(`The everything server did not start: ${output}`);
    }
  }
  return { url: `http://127.0.0.1:${port}/mcp`, close };
}
