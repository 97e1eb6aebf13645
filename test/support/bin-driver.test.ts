import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BinDriver } from './bin-driver.ts';

/** Answers every request with its own environment, and "noise" with a line that is no message. */
const STAND_IN = `
import { createInterface } from 'node:readline';
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'noise') return console.log('noise');
  const { id } = JSON.parse(line);
  if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, result: process.env }));
  else console.log(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message' }));
}).on('close', () => { process.exitCode = 3; });
`;

describe('the bin driver', () => {
  let directory = '';
  const binPath = (): string => join(directory, 'stand-in.mjs');
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'mcp-driver-'));
    writeFileSync(binPath(), STAND_IN);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('the bin driver gives the process PATH, HOME, a code cache and the variables that the test names', async () => {
    const bin = BinDriver.start({ args: [], binPath: binPath(), env: { AWS_REGION: 'eu-west-1' } });
    const { result } = await bin.initialize();
    expect(Object.keys(result as object).sort()).toEqual([
      'AWS_REGION',
      'HOME',
      'NODE_COMPILE_CACHE',
      'PATH',
    ]);
    expect(result).toMatchObject({ HOME: bin.home });
  });

  it('the bin driver matches answers by id and type, and returns a message once', async () => {
    const bin = BinDriver.start({ args: [], binPath: binPath() });
    await Promise.all([0, '0', '', -1].map((id) => bin.request('ping', {}, id)));
    bin.notify('a');
    bin.notify('b');
    const isNote = (message: Record<string, unknown>): boolean => message.method !== undefined;
    expect(await bin.next(isNote)).not.toBe(await bin.next(isNote));
    expect(bin.messages.slice(0, 4).map((message) => message.id)).toEqual([0, '0', '', -1]);
  });

  it('the bin driver reports how the process ended, and then rejects waiting callers', async () => {
    const bin = BinDriver.start({ args: [], binPath: binPath() });
    const never = expect(bin.answer(1)).rejects.toThrow('the process ended first');
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 3, signal: null });
    await never;
  });

  it('the bin driver reports lines that are not messages', async () => {
    const bin = BinDriver.start({ args: [], binPath: binPath(), anyStdout: true });
    bin.send('noise');
    await bin.request('ping');
    expect(() => bin.assertCleanStdout()).toThrow('noise');
  });
});
