import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import type { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { open, send } from '../support/http-client.ts';
import { openSession, startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { ANSWERS, gzipped, heavyTool } from '../support/memory-attacks.ts';
import { type Relayed, startInitialized } from '../support/relayed.ts';

const MIB = 1024 * 1024;

/** The figures of docs/memory.md, in MiB. */
const documented = (name: string): number => {
  const row = new RegExp(`^\\| ${name} \\| (\\d+) MiB \\|`, 'm').exec(readFileSync('docs/memory.md', 'utf8'));
  return Number(row?.[1]);
};

const rows: string[] = [];

/** The most memory that the process has had so far, as the system counts it. */
function peakOf({ child }: BinDriver): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Math.ceil(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1_024);
}

function check(name: string, bin: BinDriver): void {
  const peak = peakOf(bin);
  rows.push(`${name}: ${peak} MiB measured, ${documented(name)} MiB documented`);
  expect(peak).toBeLessThan(documented(name));
}

afterAll(() => process.stdout.write(`\n${rows.join('\n')}\n`));

const call = (id: unknown, args: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'x', arguments: args },
});

/** Waits until the proxy has done what it can: it answers a ping then, or its memory rests. */
async function settled(bin: BinDriver): Promise<void> {
  for (let last = -1, same = 0; same < 5; ) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const now = peakOf(bin);
    same = now === last ? same + 1 : 0;
    last = now;
  }
}

describe.runIf(process.platform === 'linux')('with default settings, memory stays below the figure', () => {
  it('for a server: every attack on five connections at once, then lists', async () => {
    let answering = ANSWERS[0]?.[1];
    const { bin }: Relayed = await startInitialized({
      args: ['--deny-tool', 'heavy'],
      on: {
        'prompts/get': (q, r) => answering?.(q, r),
        'tools/list': ({ rpc }, r) =>
          void r
            .writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
            .end(
              gzipped(
                `{"jsonrpc":"2.0","id":${JSON.stringify(rpc.id)},"result":{"tools":${heavyTool(4_000_000)}}}`,
              ),
            ),
      },
    });
    rows.push(`at rest: ${peakOf(bin)} MiB measured`);
    let id = 0;
    for (const [, attack] of ANSWERS) {
      answering = attack;
      const ids = Array.from({ length: 5 }, () => id++);
      for (const each of ids)
        bin.send({ jsonrpc: '2.0', id: each, method: 'prompts/get', params: { name: 'p' } });
      for (const each of ids) expect(await bin.answer(each)).toHaveProperty('error');
    }
    // Answers of the longest length that passes.
    const long = 'ж'.repeat(5_000_000);
    answering = ({ rpc }, r) =>
      sendJson(r, 200, { jsonrpc: '2.0', id: rpc.id, result: { content: [], long } });
    for (let round = 0; round < 4; round++) {
      const ids = Array.from({ length: 5 }, () => id++);
      for (const each of ids)
        bin.send({ jsonrpc: '2.0', id: each, method: 'prompts/get', params: { name: 'p' } });
      for (const each of ids) expect(await bin.answer(each)).toHaveProperty('result');
    }
    for (let page = 0; page < 24; page++)
      await bin.request('tools/list', { _meta: { page } }, `list-${page}`);
    check('a server', bin);
  });

  it('for a stdio client: requests that wait, and answers that it does not read', async () => {
    const { bin } = await startInitialized({ anyStdout: true, on: { 'tools/call': () => undefined } });
    const text = 'x'.repeat(9 * MIB);
    // The last ones are refused.
    for (let id = 0; id < 32; id++) bin.send(call(id, { text }));
    await bin.answer(31);
    bin.child.stdout.pause();
    // The refusal of a second request with the same id contains the id.
    const long = 'y'.repeat(8 * MIB);
    const waited = { jsonrpc: '2.0', id: long, method: 'tools/call', params: { name: 'x' } };
    for (let n = 0; n < 70; n++) bin.send(waited);
    await settled(bin);
    check('a stdio client', bin);
    bin.child.kill('SIGKILL');
  });

  it('for all clients of a listener: bodies, beginnings of bodies and unread answers', async () => {
    const { url, ask, bin } = await startListening({
      session: {
        on: {
          'prompts/get': ({ rpc }, r) =>
            sendJson(r, 200, { jsonrpc: '2.0', id: rpc.id, result: { text: 'x'.repeat(32 * MIB) } }),
        },
      },
    });
    const headers = await openSession(ask);
    const { hostname, port } = new URL(url);
    const begin = (bytes: number): void => {
      const socket = connect(Number(port), hostname);
      afterThisTest(() => void socket.destroy());
      socket.on('error', () => undefined).resume();
      socket.write(
        `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${16 * MIB}\r\n\r\n`,
      );
      socket.write(Buffer.alloc(bytes, 0x20));
    };
    for (let n = 0; n < 40; n++) {
      const params = { name: 'p' };
      const { response } = await open(url, {
        headers,
        body: { jsonrpc: '2.0', id: n, method: 'prompts/get', params },
      });
      response.pause();
    }
    for (let n = 0; n < 20; n++) begin(16 * MIB - 1);
    await settled(bin);
    for (let n = 0; n < 600; n++) begin(64 * 1024 - 300);
    await settled(bin);
    expect((await send(new URL('/healthz', url).href, { method: 'GET' })).status).toBe(200);
    check('all clients of a listener', bin);
  });
});
