import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { makeGate, startInitialized } from '../support/relayed.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { makeTlsAuthority } from '../support/tls-authority.ts';

const ECHO = { name: 'echo', arguments: { text: 'x' } };
const isCall = ({ rpc }: { rpc: { method?: string } }): boolean => rpc.method === 'tools/call';

describe('--connect-to', () => {
  const started = async (host: string, hostNames: readonly string[]) => {
    const authority = await makeTlsAuthority(hostNames);
    const server = await ScriptedServer.start(new SessionServer().behaviour, {
      tls: authority,
      verify: signingVerify,
    });
    const bin = BinDriver.start({
      args: [
        `https://${host}/mcp`,
        ...signingArgs,
        '--retries',
        '0',
        '--connect-to',
        `127.0.0.1:${server.port}`,
        '--ca-bundle',
        authority.caFile(),
      ],
      // Never used: the connection goes to loopback.
      env: { ...signingEnv, HTTPS_PROXY: 'http://proxy.invalid:1' },
    });
    return { server, bin };
  };

  it('--connect-to keeps the Host header, the TLS server name and the signature of the endpoint', async () => {
    const { server, bin } = await started('mcp.test', ['mcp.test']);
    await bin.initialize({}, 0);
    expect(await bin.request('tools/call', ECHO, '')).toHaveProperty('result');
    for (const { headers, socket } of server.requests) {
      expect(headers.host).toBe('mcp.test');
      expect((socket as TLSSocket & { servername: unknown }).servername).toBe('mcp.test');
    }
  });

  it('--connect-to rejects a certificate that is valid for the address but not for the endpoint', async () => {
    const { bin } = await started('elsewhere.test', ['mcp.test']);
    const { error } = await bin.request('initialize', { protocolVersion: '2025-11-25' }, -1);
    expect(error).toMatchObject({ code: -31001, message: expect.stringContaining('elsewhere.test') });
  });

  it.each([
    ['localhost', 'must be host:port'],
    ['localhost:0', 'must be host:port'],
    ['localhost:65536', 'must be host:port'],
    ['::1:443', 'must be host:port'],
    ['https://localhost:443', 'must be host:port'],
  ])('--connect-to %s is rejected at the start', async (value, problem) => {
    const bin = BinDriver.start({
      args: ['https://mcp.test/mcp', ...signingArgs, '--connect-to', value],
      env: signingEnv,
    });
    expect(await bin.exit()).toMatchObject({ code: 2 });
    expect(bin.stderr).toContain(`--connect-to ${problem}`);
  });

  it('--connect-to rejects an http:// endpoint with an address that is not loopback', async () => {
    const bin = BinDriver.start({
      args: ['http://127.0.0.1:1/mcp', ...signingArgs, '--connect-to', 'mcp.test:80'],
      env: signingEnv,
    });
    expect(await bin.exit()).toMatchObject({ code: 2 });
    expect(bin.stderr).toContain('--connect-to must name a loopback host');
  });
});

describe('--connection-lifetime', () => {
  it('--connection-lifetime closes an old connection after its response is complete, never during a response', async () => {
    const gate = makeGate();
    const { server, bin } = await startInitialized({
      args: ['--connection-lifetime', '0.001'],
      on: {
        'tools/call': async (request, _response, { fallback }) => {
          if (request.rpc.id === 'slow') await gate.opened;
          return fallback();
        },
      },
    });
    const slow = bin.request('tools/call', ECHO, 'slow');
    for (const id of [0, '', -1]) await bin.request('tools/call', ECHO, id);
    gate.open();
    expect(await slow).toHaveProperty('result');
    expect(server.of('tools/call')).toHaveLength(4);
    expect(server.connectionsThat(isCall)).toBe(4);
  });

  it('--connection-lifetime is unlimited by default', async () => {
    const { server, bin } = await startInitialized();
    for (const id of [0, '', -1]) await bin.request('tools/call', ECHO, id);
    expect(server.connectionsThat(isCall)).toBe(1);
  });
});

/** Simulates a wake-up: on SIGUSR2 the wall clock is a minute later. */
const SLEEPER = `
const now = Date.now;
let slept = 0;
Date.now = () => now() + slept;
process.on('SIGUSR2', () => { slept += 60_000; process.stderr.write('awake'); });
`;

describe('after the machine slept', () => {
  it('connections from before a sleep of the machine are not used again', async () => {
    const { server, bin } = await startInitialized({
      env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(SLEEPER)}` },
      args: ['--max-connections', '3'],
    });
    for (const id of [0, '']) await bin.request('tools/call', ECHO, id);
    expect(server.connectionsThat(isCall)).toBe(1);
    const before = Math.max(...server.requests.map(({ connection }) => connection));
    bin.child.kill('SIGUSR2');
    while (!bin.stderr.includes('awake')) await new Promise((resolve) => setImmediate(resolve));
    bin.send({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' });
    for (const id of [1, -1]) await bin.request('tools/call', ECHO, id);
    await server.until((requests) => requests.some(({ rpc }) => rpc.method?.endsWith('list_changed')));
    const after = server.requests.filter(({ rpc }) => rpc.id === 1 || rpc.method?.endsWith('list_changed'));
    expect(after).toHaveLength(2);
    for (const { connection } of after) expect(connection).toBeGreaterThan(before);
    expect(server.connectionsThat(isCall)).toBe(2);
  });
});

describe('response headers', () => {
  const answering = (bytes: number) =>
    startInitialized({
      on: {
        'tools/call': (request, response) => {
          for (let at = 0; at < 6; at++) response.setHeader(`x-long-${at}`, 'h'.repeat(bytes / 6));
          sendJson(response, 200, { jsonrpc: '2.0', id: request.rpc.id, result: {} });
        },
      },
    });

  it.each([20_000, 60_000])('response headers of %i bytes are accepted', async (bytes) => {
    const { bin } = await answering(bytes);
    for (const id of [0, '', -1]) {
      expect(await bin.request('tools/call', ECHO, id)).toMatchObject({ id, result: {} });
    }
  });

  it('response headers over the limit return an error with the limit, and the call is not sent again', async () => {
    const { bin, server } = await answering(70_000);
    for (const id of [0, '', -1]) {
      expect(await bin.request('tools/call', ECHO, id)).toMatchObject({
        id,
        error: {
          code: -31004,
          message: expect.stringContaining('headers of more than 65536 bytes, which is the limit'),
          data: { mayHaveRun: true, limit: 65_536 },
        },
      });
    }
    expect(server.of('tools/call')).toHaveLength(3);
    expect(await bin.request('tools/list', {}, 'after')).toHaveProperty('result');
  });
});

describe('a kept connection that died silently', () => {
  it('a kept connection that died silently delays one read-only request by seconds, and no later request', async () => {
    let dead: number | undefined;
    const { server, bin } = await startInitialized({
      args: ['--max-connections', '2'],
      before: (next) => (request, response) => {
        // From now on it accepts everything and answers nothing, like a NAT that has lost its entry.
        if (request.rpc.id === 'dies') dead ??= request.connection;
        return request.connection === dead ? undefined : next(request, response);
      },
    });
    await bin.request('tools/call', ECHO, 0);
    expect(await bin.request('tools/list', {}, 'dies')).toHaveProperty('result');
    for (const id of ['', -1]) expect(await bin.request('tools/call', ECHO, id)).toHaveProperty('result');
    const carried = server.requests.filter(({ connection }) => connection === dead);
    expect(carried.at(-1)?.rpc.id).toBe('dies');
    // Sent again once, on another connection; each call ran once.
    expect(server.requests.filter(({ rpc }) => rpc.id === 'dies')).toHaveLength(2);
    expect(server.of('tools/call')).toHaveLength(3);
    expect(bin.messages.filter(({ id }) => id === 'dies')).toHaveLength(1);
  });
});
