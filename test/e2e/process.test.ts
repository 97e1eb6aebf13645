import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN_PATH, BinDriver } from '../support/bin-driver.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { makeGate, startInitialized, startRelayed } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

const CALM = { code: 0, signal: null };
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'pipe', version: '1' } },
};
const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' };
const callOf = (id: unknown, args: Record<string, unknown> = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'echo', arguments: args },
});

const shuttingDown = {
  code: -31009,
  data: { source: 'mcp-sigv4-proxy', reason: 'shutting-down', mayHaveRun: true },
};

describe('before the first message', () => {
  it('nothing is sent and nothing is opened', async () => {
    const { server, bin } = await startRelayed();
    // Its answer shows that the process is up and reads.
    bin.send('not JSON');
    await bin.next(({ error }) => error !== undefined);
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(server.connections.opened).toBe(0);
    expect(bin.stderr).toBe('');
  });
});

describe('the end', () => {
  it("comes with stdin's: the session is deleted once, and nothing is said on stderr", async () => {
    const { server, mcp, bin } = await startInitialized();
    await bin.request('tools/list');
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(mcp.sessions.size).toBe(0);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(server.requests.at(-1)?.method).toBe('DELETE');
    expect(bin.stderr).toBe('');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('comes with %s in the same way', async (signal) => {
    const { server, bin } = await startInitialized();
    await bin.request('tools/list');
    bin.kill(signal);
    expect(await bin.exit()).toEqual(CALM);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('comes once, though stdin ends and a signal comes with it, as SDK clients do', async () => {
    const { server, bin } = await startInitialized();
    bin.closeStdin();
    bin.kill('SIGTERM');
    expect(await bin.exit()).toEqual(CALM);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('comes when nobody reads stdout any more, without a word and without waiting for calls', async () => {
    const { server, mcp, bin } = await startInitialized({
      args: ['--drain-timeout', '600'],
      on: { 'tools/call': () => undefined },
    });
    bin.send(callOf(1));
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tools/call'));
    bin.child.stdout.destroy();
    for (let n = 0; n < 3; n++) mcp.broadcast({ jsonrpc: '2.0', method: 'notifications/vendor' });
    expect(await bin.exit()).toEqual(CALM);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('comes though the server never takes the DELETE', async () => {
    const { server, bin } = await startInitialized({ on: { DELETE: () => undefined } });
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it.each([405, 404, 500])('comes though the server answers the DELETE with %i', async (status) => {
    const { server, bin } = await startInitialized({
      on: { DELETE: (_request, response) => void response.writeHead(status).end('no') },
    });
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('comes though the server has gone', async () => {
    const { server, bin } = await startInitialized();
    await server.close();
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(bin.stderr).toBe('');
  });

  it('comes at once with a second signal', async () => {
    const { server, bin } = await startInitialized({
      args: ['--drain-timeout', '600'],
      on: { 'tools/call': () => undefined },
    });
    bin.send(callOf(0));
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tools/call'));
    bin.kill('SIGTERM');
    // Two of one kind that come together are one to the system.
    bin.kill('SIGINT');
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr).toBe('');
  });
});

/** Where the drain time is not what is looked at: the usual one and a half seconds are short for a machine that does other work. */
const PATIENT = ['--drain-timeout', '20'];

describe('what is under way at the end', () => {
  it('gets its answers where all was written into a pipe that closed at once', async () => {
    const { server, bin } = await startRelayed({ args: PATIENT });
    for (const message of [INITIALIZE, INITIALIZED, callOf('', { a: 1 }), callOf(-1)]) bin.send(message);
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(bin.messages.map(({ id }) => id).sort()).toEqual(['', -1, 0]);
    expect(bin.messages.every(({ result }) => result !== undefined)).toBe(true);
    expect(server.requests.map(({ rpc, method }) => rpc.method ?? method).slice(0, 3)).toEqual([
      'initialize',
      'notifications/initialized',
      'GET',
    ]);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('loses nothing of a long last line, though its reader is slow', async () => {
    const { server, bin } = await startInitialized({ args: PATIENT });
    bin.child.stdout.pause();
    bin.send({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'big', arguments: { bytes: 9e6 } },
    });
    bin.closeStdin();
    await server.until((requests) => requests.some(({ method }) => method === 'DELETE'));
    bin.child.stdout.resume();
    expect(await bin.exit()).toEqual(CALM);
    expect(bin.lines.at(-1)?.length).toBeGreaterThan(9e6);
    expect(bin.messages.at(-1)).toMatchObject({ id: 1, result: {} });
  });

  it('may finish within the drain time', async () => {
    const gate = makeGate();
    const { server, bin } = await startInitialized({
      args: ['--drain-timeout', '600'],
      on: {
        'tools/call': async (_request, _response, { fallback }) => {
          await gate.opened;
          await fallback();
        },
      },
    });
    for (const id of [0, '', -1]) bin.send(callOf(id));
    await server.until((requests) => requests.filter(({ rpc }) => rpc.method === 'tools/call').length === 3);
    bin.kill('SIGTERM');
    gate.open();
    expect(await bin.exit()).toEqual(CALM);
    expect(bin.messages.slice(1).every(({ result }) => result !== undefined)).toBe(true);
    expect(bin.messages).toHaveLength(4);
    expect(server.of('DELETE')).toHaveLength(1);
  });

  it('is answered with an error when the drain time is over', async () => {
    const { server, bin } = await startInitialized({
      args: ['--drain-timeout', '0.3'],
      on: { 'tools/call': () => undefined },
    });
    for (const id of [0, '', -1]) bin.send(callOf(id));
    await server.until((requests) => requests.filter(({ rpc }) => rpc.method === 'tools/call').length === 3);
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(
      bin.messages
        .slice(1)
        .map(({ id }) => id)
        .sort(),
    ).toEqual(['', -1, 0]);
    for (const { error } of bin.messages.slice(1)) expect(error).toMatchObject(shuttingDown);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('is answered where it is an initialize that the server sits on, and what waits behind it', async () => {
    const { server, bin } = await startRelayed({
      args: ['--drain-timeout', '0.3'],
      on: { initialize: () => undefined },
    });
    for (const message of [INITIALIZE, INITIALIZED, callOf('')]) bin.send(message);
    await server.until((requests) => requests.length === 1);
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(bin.messages.map(({ id }) => id)).toEqual([0, '']);
    for (const { error } of bin.messages) expect(error).toMatchObject({ code: shuttingDown.code });
    expect(server.requests).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('ends with the session deleted where initialize is answered in the last moment', async () => {
    const gate = makeGate();
    const { server, mcp, bin } = await startRelayed({
      args: PATIENT,
      on: {
        initialize: async (_request, _response, { fallback }) => {
          await gate.opened;
          await fallback();
        },
      },
    });
    bin.send(INITIALIZE);
    await server.until((requests) => requests.length === 1);
    bin.closeStdin();
    gate.open();
    expect(await bin.exit()).toEqual(CALM);
    expect(bin.messages).toMatchObject([{ id: 0, result: {} }]);
    expect(mcp.deleted).toHaveLength(1);
  });
});

/** Spawns the bin and waits; what it is killed with, the bin does not hear of. */
const PARENT = `
import { spawn } from 'node:child_process';
const [how, ...command] = process.argv.slice(2);
const child = spawn(process.execPath, command, { stdio: how === 'inherit' ? 'inherit' : ['pipe', 'inherit', 'inherit'] });
if (how === 'pipe') process.stdin.pipe(child.stdin);
child.on('exit', (code) => process.exit(code));
`;

describe('a parent that is killed', () => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'mcp-parent-'));
    writeFileSync(join(directory, 'parent.mjs'), PARENT);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it.each(['inherit', 'pipe'])('takes the process with it, the session too (stdin: %s)', async (how) => {
    const server = await ScriptedServer.start(new SessionServer().behaviour, { verify: signingVerify });
    const bin = BinDriver.start({
      args: [how, BIN_PATH, server.url, ...signingArgs],
      env: { ...signingEnv },
      binPath: join(directory, 'parent.mjs'),
    });
    await bin.initialize();
    await bin.request('ping');
    bin.kill('SIGKILL');
    await server.until((requests) => requests.some(({ method }) => method === 'DELETE'));
    // Its stdout, which the parent shared, closes when the last holder has gone.
    expect(await bin.exit()).toEqual({ code: null, signal: 'SIGKILL' });
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });
});
