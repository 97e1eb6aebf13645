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

describe('the process before the first message', () => {
  it('the process sends nothing and opens no connection before the first message', async () => {
    const { server, bin } = await startRelayed();
    // Its answer shows that the process has started and reads stdin.
    bin.send('not JSON');
    await bin.next(({ error }) => error !== undefined);
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(server.connections.opened).toBe(0);
    expect(bin.stderr).toBe('');
  });
});

describe('the end of the process', () => {
  it('the end of stdin ends the process: the session is deleted once, and stderr stays empty', async () => {
    const { server, mcp, bin } = await startInitialized();
    await bin.request('tools/list');
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(mcp.sessions.size).toBe(0);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(server.requests.at(-1)?.method).toBe('DELETE');
    expect(bin.stderr).toBe('');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'the signal %s ends the process as the end of stdin does',
    async (signal) => {
      const { server, bin } = await startInitialized();
      await bin.request('tools/list');
      bin.kill(signal);
      expect(await bin.exit()).toEqual(CALM);
      expect(server.of('DELETE')).toHaveLength(1);
      expect(bin.stderr).toBe('');
    },
  );

  it('the end of stdin together with a signal, as SDK clients send them, ends the process once', async () => {
    const { server, bin } = await startInitialized();
    bin.closeStdin();
    bin.kill('SIGTERM');
    expect(await bin.exit()).toEqual(CALM);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it('a closed stdout ends the process silently, without waiting for calls', async () => {
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

  it('the process ends even if the server never accepts the DELETE', async () => {
    const { server, bin } = await startInitialized({ on: { DELETE: () => undefined } });
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(server.of('DELETE')).toHaveLength(1);
    expect(bin.stderr).toBe('');
  });

  it.each([405, 404, 500])(
    'the process ends even if the server answers the DELETE with %i',
    async (status) => {
      const { server, bin } = await startInitialized({
        on: { DELETE: (_request, response) => void response.writeHead(status).end('no') },
      });
      bin.closeStdin();
      expect(await bin.exit()).toEqual(CALM);
      expect(server.of('DELETE')).toHaveLength(1);
      expect(bin.stderr).toBe('');
    },
  );

  it('the process ends even if the server is gone', async () => {
    const { server, bin } = await startInitialized();
    await server.close();
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(bin.stderr).toBe('');
  });

  it('a second signal ends the process at once', async () => {
    const { server, bin } = await startInitialized({
      args: ['--drain-timeout', '600'],
      on: { 'tools/call': () => undefined },
    });
    bin.send(callOf(0));
    await server.until((requests) => requests.some(({ rpc }) => rpc.method === 'tools/call'));
    bin.kill('SIGTERM');
    // The system merges two pending signals of one kind.
    bin.kill('SIGINT');
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr).toBe('');
  });
});

/** For tests that do not measure the drain time: 1.5 s is too short on a loaded machine. */
const PATIENT = ['--drain-timeout', '20'];

describe('calls in flight at the end of the process', () => {
  it('requests in a pipe that closed at once still get their responses', async () => {
    const { server, bin } = await startRelayed({ args: PATIENT });
    for (const message of [INITIALIZE, INITIALIZED, callOf('', { a: 1 }), callOf(-1)]) bin.send(message);
    bin.closeStdin();
    expect(await bin.exit()).toEqual(CALM);
    expect(bin.messages.map(({ id }) => id).sort()).toEqual(['', -1, 0]);
    expect(bin.messages.every(({ result }) => result !== undefined)).toBe(true);
    const received = server.requests.map(({ rpc, method }) => rpc.method ?? method);
    expect(received.slice(0, 2)).toEqual(['initialize', 'notifications/initialized']);
    // The stream and the calls leave in this order on connections of their own, which may overtake.
    expect(received.slice(2, 5).sort()).toEqual(['GET', 'tools/call', 'tools/call']);
    expect(received.slice(5)).toEqual(['DELETE']);
    expect(bin.stderr).toBe('');
  });

  it('a long last line reaches a slow reader whole', async () => {
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

  it('a call in flight can finish within --drain-timeout', async () => {
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

  it('a call in flight returns an error when --drain-timeout is over', async () => {
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

  it('a pending initialize and the requests behind it return errors when the process ends', async () => {
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

  it('a session whose initialize is answered at the last moment is deleted', async () => {
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

/** Spawns the bin and waits; the signal that kills this parent does not reach the bin. */
const PARENT = `
import { spawn } from 'node:child_process';
const [how, ...command] = process.argv.slice(2);
const child = spawn(process.execPath, command, { stdio: how === 'inherit' ? 'inherit' : ['pipe', 'inherit', 'inherit'] });
if (how === 'pipe') process.stdin.pipe(child.stdin);
child.on('exit', (code) => process.exit(code));
`;

describe('the process whose parent is killed', () => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'mcp-parent-'));
    writeFileSync(join(directory, 'parent.mjs'), PARENT);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it.each(['inherit', 'pipe'])(
    'the process ends and deletes its session when its parent is killed (stdin: %s)',
    async (how) => {
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
      // Its stdout, which it shares with the parent, closes when the last holder has ended.
      expect(await bin.exit()).toEqual({ code: null, signal: 'SIGKILL' });
      expect(server.of('DELETE')).toHaveLength(1);
      expect(bin.stderr).toBe('');
    },
  );
});
