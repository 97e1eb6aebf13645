import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { claiming, startDual } from '../support/claims.ts';
import { open } from '../support/http-client.ts';
import { openSession, startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import type { SessionServerOptions } from '../support/mcp-behaviours.ts';
import { startInitialized } from '../support/relayed.ts';
import { TEST_KEY } from '../support/signing.ts';
import { makeTempHome } from '../support/temp-home.ts';

type Line = Record<string, unknown>;

const readLines = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

async function accessFile(): Promise<string> {
  const temp = await makeTempHome();
  return join(temp.home, 'access.log');
}

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** Tools whose outcomes differ; `secret` repeats the session token in its error. */
const outcomes: SessionServerOptions = {
  on: {
    'tools/call': (request, response, { params, fallback, result, error }) => {
      switch (params.name) {
        case 'fails':
          return result({ content: [], isError: true });
        case 'unknown':
          return error(-32602, `no such tool ${TEST_KEY.sessionToken}`);
        case 'breaks':
          return void response.destroy();
        case 'hangs':
          return undefined;
        default:
          void request;
          return fallback();
      }
    },
  },
};

describe('--access-log', () => {
  it('--access-log writes a line for each request on stdio: ok, tool error, error, broken, cancelled', async () => {
    const file = await accessFile();
    const { bin, server } = await startInitialized({
      args: ['--access-log', file, '--retries', '0'],
      ...outcomes,
    });
    const call = (name: string, id: unknown, more = {}) =>
      bin.request('tools/call', { name, arguments: { text: 'private' }, ...more }, id);
    await call('echo', 0, { _meta: { traceparent: TRACEPARENT } });
    await call('fails', '');
    await call('unknown', -1);
    await call('breaks', 'b');
    bin.send({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'hangs' } });
    await server.until((all) => all.some(({ rpc }) => rpc.id === 7));
    bin.notify('notifications/cancelled', { requestId: 7 });
    await server.until((all) => all.some(({ rpc }) => rpc.method === 'notifications/cancelled'));
    // The id is in use: refused before any layer.
    bin.closeStdin();
    await bin.exit();
    const lines = readLines(file);
    const seen = Object.fromEntries(lines.map((line) => [JSON.stringify(line.id), line]));
    expect(lines).toHaveLength(6);
    expect(seen['"handshake"']).toMatchObject({ method: 'initialize', outcome: 'ok', transport: 'stdio' });
    expect(seen['0']).toMatchObject({
      level: 'info',
      method: 'tools/call',
      tool: 'echo',
      userAgent: 'bin-driver/0.0.0',
      outcome: 'ok',
      attempts: 1,
      traceId: '0af7651916cd43dd8448eb211c80319c',
    });
    expect(seen['0']?.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    for (const field of ['durationMs', 'serverMs', 'requestBytes', 'responseBytes']) {
      expect(seen['0']?.[field]).toBeGreaterThan(0);
    }
    expect(seen['""']).toMatchObject({ level: 'warn', tool: 'fails', outcome: 'tool_error' });
    expect(seen['-1']).toMatchObject({ tool: 'unknown', outcome: 'error', code: -32602, reason: 'answered' });
    expect(seen['"b"']).toMatchObject({ tool: 'breaks', outcome: 'error', reason: 'connection-lost' });
    expect(seen['7']).toMatchObject({ tool: 'hangs', outcome: 'cancelled' });
    const text = readFileSync(file, 'utf8');
    expect(text).not.toContain('private');
    expect(text).not.toContain(TEST_KEY.sessionToken);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('--access-log-arguments adds the arguments with big integers and without secrets', async () => {
    const file = await accessFile();
    const { bin } = await startInitialized({ args: ['--access-log', file, '--access-log-arguments'] });
    const key = TEST_KEY.secretAccessKey;
    bin.send(
      `{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"echo","arguments":{"n":12345678901234567890,"key":${JSON.stringify(key)}}}}`,
    );
    await bin.next(({ result }) => JSON.stringify(result ?? '').includes('12345678901234567'));
    await bin.request('tools/call', { name: 'echo', arguments: { text: 'x'.repeat(20_000) } }, 'long');
    bin.closeStdin();
    await bin.exit();
    const [, precise = '', long = '{}'] = readFileSync(file, 'utf8').trim().split('\n');
    expect(precise).toContain('"id":12345678901234567890,"arguments":{"n":12345678901234567890,');
    expect(precise).not.toContain(key);
    expect(String(JSON.parse(long).arguments)).toMatch(/^\{"text":"x{16000,}\.\.\.$/);
  });

  it('--access-log writes lines of revision 2026-07-28, and hostile names stay within one line', async () => {
    const file = await accessFile();
    const { bin } = await startDual(
      ({ rpc }, response) => sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: { content: [] } }),
      { args: ['--access-log', file] },
    );
    const name = `<b>\u001b[31m\n"${'x'.repeat(1_000_000)}`;
    bin.send(claiming('tools/call', { name: 'plain', arguments: {} }, 0));
    await bin.answer(0);
    bin.send(claiming('prompts/get', { name }, ''));
    await bin.answer('');
    bin.closeStdin();
    await bin.exit();
    const [first, second] = readLines(file);
    expect(first).toMatchObject({ id: 0, tool: 'plain', userAgent: 'client/1', outcome: 'ok' });
    expect(String(second?.prompt).length).toBeLessThan(300);
    expect(readFileSync(file, 'utf8')).not.toContain('\u001b');
  });

  it('SIGHUP reopens the access log after a rotation, and no line is lost', async () => {
    const file = await accessFile();
    const { bin } = await startInitialized({ args: ['--access-log', file, '--log-level', 'info'] });
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 0);
    await expect.poll(() => readLines(file).length).toBe(2);
    renameSync(file, `${file}.1`);
    bin.kill('SIGHUP');
    await bin.stderrMatching(/log\.reopened/);
    await bin.request('tools/call', { name: 'echo', arguments: {} }, 1);
    bin.closeStdin();
    await bin.exit();
    expect([readLines(`${file}.1`), readLines(file)].map((lines) => lines.map(({ id }) => id))).toEqual([
      ['handshake', 0],
      [1],
    ]);
  });

  it('--access-log stderr writes to stderr', async () => {
    const { bin } = await startInitialized({ args: ['--access-log', 'stderr'] });
    bin.closeStdin();
    await bin.exit();
    expect(JSON.parse(bin.stderr)).toMatchObject({ id: 'handshake', method: 'initialize', outcome: 'ok' });
  });

  it.each([
    ['--access-log', '/dev/stdout', /--access-log must not be stdout/],
    ['--access-log', '/nowhere/at/all', /--access-log must be a regular file/],
    ['--access-log-arguments', '', /--access-log-arguments needs --access-log/],
  ])('the access log setting %s %s is refused at the start', async (flag, value, complaint) => {
    const bin = BinDriver.start({ args: ['http://127.0.0.1:9/mcp', flag, ...(value ? [value] : [])] });
    expect(await bin.exit()).toMatchObject({ code: 2 });
    expect(bin.stderr).toMatch(complaint);
  });
});

describe('--access-log at the listener', () => {
  it('--access-log at the listener states the address, token, user agent and session of each client', async () => {
    const file = await accessFile();
    const tokens = join(dirname(file), 'tokens');
    writeFileSync(tokens, 'ann=secret-of-ann-0123456789\n', { mode: 0o600 });
    const { ask, bin, url, server } = await startListening({
      args: ['--access-log', file, '--listen-token-file', tokens, '--retries', '0'],
      session: outcomes,
    });
    const bearer = { authorization: 'Bearer secret-of-ann-0123456789', 'user-agent': 'raw/1' };
    const headers = {
      ...(await openSession(({ headers: more, body }) =>
        ask({ ...(body ? { body } : {}), headers: { ...bearer, ...more } }),
      )),
      ...bearer,
    };
    const call = (name: string, id: unknown) =>
      ask({ headers, body: { jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {} } } });
    await call('echo', 1);
    await call('fails', '');
    await call('unknown', -1);
    await call('breaks', 'b');
    const hanging = await Promise.race([
      open(url, {
        headers,
        body: { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'hangs' } },
      }).catch(() => undefined),
      server.until((all) => all.some(({ rpc }) => rpc.id === 7)),
    ]);
    expect(hanging).toBeUndefined();
    await ask({
      headers,
      body: { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } },
    });
    await ask({ body: { jsonrpc: '2.0', id: 9, method: 'ping' } });
    bin.kill('SIGTERM');
    await bin.exit();
    const lines = readLines(file);
    const outcome = (id: unknown) => lines.find((line) => line.id === id);
    expect(outcome(1)).toMatchObject({
      transport: 'http',
      address: '127.0.0.1',
      token: 'ann',
      userAgent: 'raw/1',
      session: expect.stringMatching(/^[\w-]{43}$/),
      tool: 'echo',
      outcome: 'ok',
    });
    expect(outcome('')).toMatchObject({ outcome: 'tool_error' });
    expect(outcome(-1)).toMatchObject({ outcome: 'error', code: -32602 });
    expect(outcome('b')).toMatchObject({ outcome: 'error', reason: 'connection-lost' });
    expect(outcome(7)).toMatchObject({ outcome: 'cancelled' });
    expect(lines.find((line) => line.outcome === 'refused')).toMatchObject({
      status: 401,
      address: '127.0.0.1',
    });
    expect(readFileSync(file, 'utf8')).not.toMatch(/secret-of-ann/);
  });
});
