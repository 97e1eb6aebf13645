import { request as httpRequest } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { MetricsSnapshot } from '../../src/observe/metrics/snapshot.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { FaultServer } from '../support/fault-server.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { startWithStatus, total } from '../support/status-run.ts';
import { Terminal } from '../support/terminal.ts';

const P = 'mcp_sigv4_proxy';

const echoServer = (): Promise<ScriptedServer> =>
  ScriptedServer.start(new SessionServer().behaviour, { verify: signingVerify });

/** The answer to a GET with these headers as they are: `fetch` sets its own Host. */
const statusOf = (url: string, headers: Record<string, string>, method = 'GET'): Promise<number> =>
  new Promise((resolve, reject) => {
    httpRequest(url, { headers, method, setHost: headers.host === undefined }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });

describe('--status', () => {
  it('--status reports the exact counts of the log of a server with faults', async () => {
    const server = await FaultServer.start();
    const { proxy, metrics, get } = await startWithStatus(server.url, {
      args: ['--retry-base-delay', '0', '--retry-max-delay', '0', '--retry-mode', 'standard'],
    });
    await proxy.initialize({}, 'init');
    server.inject(
      'tools/call',
      { kind: 'none' },
      { kind: 'status', status: 429 },
      { kind: 'lost', form: '404' },
    );
    const call = (id: number, token: string) =>
      proxy.request('tools/call', { name: 'mark', arguments: { token } }, id);
    for (const id of [0, -1, 2]) expect(await call(id, `t${id}`)).toHaveProperty('result');
    server.inject('tools/call', { kind: 'status', status: 500 });
    expect(await call(3, 't3')).toHaveProperty('error');
    const series = await metrics();
    expect([...server.executions.values()]).toEqual([1, 1, 1, 1]);
    expect(total(series, `${P}_calls_total`, 'method="tools/call"', 'outcome="ok"')).toBe(3);
    expect(total(series, `${P}_calls_total`, 'tool="mark"', 'outcome="ok"')).toBe(3);
    expect(total(series, `${P}_calls_total`, 'method="tools/call"', 'outcome="error"')).toBe(1);
    expect(total(series, `${P}_sessions_opened_total`)).toBe(server.initializes);
    expect(total(series, `${P}_sessions_opened_total`, 'reason="recovery"')).toBe(1);
    expect(total(series, `${P}_sessions_closed_total`, 'reason="lost"')).toBe(1);
    expect(total(series, `${P}_retries_total`)).toBe(1);
    expect(total(series, `${P}_throttled_total`)).toBe(1);
    expect(total(series, 'mcp_client_operation_duration_seconds_count', 'tools/call')).toBe(4);
    expect(total(series, 'mcp_server_operation_duration_seconds_count', 'pipe', 'tools/call')).toBe(4);
    const report = (await (await get('/status.json')).json()) as MetricsSnapshot;
    const [profile] = report.profiles;
    expect(profile).toMatchObject({
      calls: 5,
      callErrors: 1,
      retryAttempts: 1,
      reconnectCount: 1,
      circuitState: 'closed',
      state: { sessions: [{ state: 'idle', primary: true, borrowCount: 0 }] },
    });
    expect(profile?.recentErrors[0]).toMatchObject({ method: 'tools/call', reason: 'http-status' });
    expect(report.tools).toMatchObject([{ tool: 'mark', calls: 4, errors: 1 }]);
  });

  it('--status answers scrapes during 2,000 calls, and counts each call once', async () => {
    const server = await ScriptedServer.start(new SessionServer().behaviour);
    const { proxy, metrics } = await startWithStatus(server.url, { args: ['--max-connections', '8'] });
    await proxy.initialize({}, 'init');
    for (let id = 0; id < 2_000; id++) {
      const params = { name: 'echo', arguments: { text: 'x' } };
      proxy.send({ jsonrpc: '2.0', id, method: 'tools/call', params });
    }
    const scrapes = Array.from({ length: 20 }, () => metrics());
    for (let id = 0; id < 2_000; id++) expect(await proxy.answer(id)).toHaveProperty('result');
    for (const series of await Promise.all(scrapes))
      expect(total(series, `${P}_calls_total`, 'tools/call')).toBeLessThanOrEqual(2_000);
    const series = await metrics();
    expect(total(series, `${P}_calls_total`, 'tool="echo"', 'outcome="ok"')).toBe(2_000);
    expect(total(series, `${P}_calls_in_flight`)).toBe(0);
    expect(total(series, `${P}_signatures_total`)).toBe(server.requests.length);
    expect(total(series, `${P}_call_wait_seconds_count`, 'wait="connection"')).toBeGreaterThan(0);
  });

  it('--status counts hostile names of tools as other, and prints none of them', async () => {
    const server = await echoServer();
    const { proxy, get } = await startWithStatus(server.url);
    await proxy.initialize({}, 'init');
    const hostile = [
      'x'.repeat(1_000_000),
      'a"} 1\nevil_metric{x="',
      '<img src=x onerror=alert(1)>',
      'tab\tnul\u0000esc\u001b[31m',
      '\u202Ereversed',
    ];
    for (const name of hostile) await proxy.request('tools/call', { name, arguments: {} });
    const text = await (await get('/metrics')).text();
    const json = await (await get('/status.json')).text();
    expect(text.length).toBeLessThan(200_000);
    for (const part of ['evil_metric', 'onerror', '\u001b', '\u202E']) expect(text).not.toContain(part);
    for (const part of ['\u001b', '\\u001b', '\u202E', 'x'.repeat(1_001)]) expect(json).not.toContain(part);
    expect(text).toContain(`tool="other",outcome="error"} ${hostile.length}`);
  });

  it('--status refuses a foreign Host, Origin and site, and other methods', async () => {
    const server = await echoServer();
    const { status } = await startWithStatus(server.url);
    const answers = {
      'a foreign Host': [{ host: 'evil.example' }, 403],
      'a foreign Origin': [{ origin: 'https://evil.example' }, 403],
      'the opaque Origin': [{ origin: 'null' }, 403],
      'a page of another site without Origin': [{ 'sec-fetch-site': 'cross-site' }, 403],
      'localhost as Host': [{ host: 'localhost:1' }, 200],
      'no header': [{}, 200],
    } as const;
    for (const [what, [headers, expected]] of Object.entries(answers)) {
      for (const path of ['', 'metrics', 'status.json', 'events'].slice(0, expected === 200 ? 3 : 4))
        expect([what, path, await statusOf(`${status}${path}`, headers)]).toEqual([what, path, expected]);
    }
    expect(await statusOf(`${status}healthz`, {})).toBe(200);
    expect(await statusOf(status, {}, 'POST')).toBe(405);
    expect(await statusOf(`${status}elsewhere`, {})).toBe(404);
  });

  it('/readyz of --status returns why requests would fail, and that the proxy leaves', async () => {
    const server = await echoServer();
    const { get, proxy } = await startWithStatus(server.url, { args: ['--profile', 'nobody'] });
    const unready = await get('/readyz');
    const reason = await unready.text();
    expect([unready.status, reason]).toEqual([503, expect.stringMatching(/^no-credentials: /)]);
    // Probes need no token.
    expect(reason).not.toContain('nobody');
    await proxy.stderrMatching(/nobody.*listener\.not-ready/);
    expect((await get('/healthz')).status).toBe(200);
    const listener = await startWithStatus(server.url, {
      args: ['--listen', '127.0.0.1:0', '--drain-delay', '3600'],
    });
    await listener.proxy.stderrMatching(/listener\.opened/);
    expect(await (await listener.get('/readyz')).text()).toBe('ok\n');
    listener.proxy.kill('SIGTERM');
    await listener.proxy.stderrMatching(/listener\.leaving/);
    const leaving = await listener.get('/readyz');
    expect([leaving.status, await leaving.text()]).toEqual([503, 'leaving\n']);
    listener.proxy.kill('SIGTERM');
    await listener.proxy.exit();
  });

  it('--status-token refuses every request without the secret, and never logs it', async () => {
    const server = await echoServer();
    const secret = 'a-secret-of-the-status-page';
    const { status, get, proxy } = await startWithStatus(server.url, {
      args: ['--log-level', 'trace'],
      env: { MCP_PROXY_STATUS_TOKEN: secret },
    });
    for (const path of ['', 'metrics', 'status.json', 'events', 'status.js'])
      expect(await statusOf(`${status}${path}`, {})).toBe(401);
    expect(await statusOf(status, { authorization: 'Bearer wrong-wrong-wrong' })).toBe(401);
    const basic = Buffer.from(`anyone:${secret}`).toString('base64');
    expect(await statusOf(status, { authorization: `Basic ${basic}`, host: 'status.internal' })).toBe(200);
    expect((await get('/metrics', { authorization: `Bearer ${secret}` })).status).toBe(200);
    expect(proxy.stderr).not.toContain(secret);
  });

  it('--status on a port in use ends the process with one line that names the option', async () => {
    const server = await echoServer();
    const { status } = await startWithStatus(server.url);
    const second = BinDriver.start({
      args: [server.url, ...signingArgs, '--status', `127.0.0.1:${new URL(status).port}`],
      env: signingEnv,
    });
    expect(await second.exit()).toEqual({ code: 1, signal: null });
    expect(second.stderr).toMatch(/^mcp-sigv4-proxy: cannot serve the status on .*EADDRINUSE.*--status\.\n$/);
  });

  it('--status on an address of other machines needs --status-token', async () => {
    const proxy = BinDriver.start({
      args: ['http://127.0.0.1:1/mcp', ...signingArgs, '--status', '0.0.0.0:0'],
      env: signingEnv,
    });
    expect(await proxy.exit()).toEqual({ code: 2, signal: null });
    expect(proxy.stderr).toContain('--status-token');
  });

  it('--status serves both text formats of Prometheus, and the end of the process ends it', async () => {
    const server = await echoServer();
    const { get, proxy } = await startWithStatus(server.url);
    const plain = await get('/metrics');
    expect(plain.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const open = await get('/metrics', { accept: 'application/openmetrics-text;version=1.0.0' });
    expect(open.headers.get('content-type')).toBe(
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
    );
    const text = await open.text();
    expect(text.endsWith('# EOF\n')).toBe(true);
    expect(text).toContain(`# TYPE ${P}_calls counter\n`);
    expect(await plain.text()).toContain(`# TYPE ${P}_calls_total counter\n`);
    // An open page does not hold up the end.
    const page = await get('/events');
    expect(page.headers.get('content-type')).toBe('text/event-stream');
    proxy.closeStdin();
    expect(await proxy.exit()).toEqual({ code: 0, signal: null });
  });
});

describe('mcp-sigv4-proxy status', () => {
  const runStatus = async (args: readonly string[], env: Record<string, string> = {}) => {
    const command = BinDriver.start({ args: ['status', ...args], env, anyStdout: true });
    const { code } = await command.exit();
    return { code, stdout: command.lines.join('\n'), stderr: command.stderr };
  };

  it('mcp-sigv4-proxy status prints the calls, waits and errors of a running proxy', async () => {
    const server = await echoServer();
    const secret = 'a-secret-of-the-status-page';
    const { proxy, status } = await startWithStatus(server.url, { env: { MCP_PROXY_STATUS_TOKEN: secret } });
    await proxy.initialize({}, 'init');
    await proxy.request('tools/call', { name: 'echo', arguments: { text: 'x' } }, 0);
    await proxy.request('tools/call', { name: 'none\u001b[31m', arguments: {} }, -1);
    const { code, stdout } = await runStatus([status], { MCP_PROXY_STATUS_TOKEN: secret });
    expect(code).toBe(0);
    expect(stdout).toContain('profile default');
    expect(stdout).toMatch(/calls {8}3, 1 errors, 0 tool errors/);
    expect(stdout).toMatch(/echo +1 +/);
    expect(stdout).toContain('Unknown tool: none');
    expect(stdout).toMatch(/Unknown tool: none.*\n +The server answered with this error\./);

    expect(stdout).not.toContain('\u001b');
    const json = await runStatus([status, '--json'], { MCP_PROXY_STATUS_TOKEN: secret });
    expect(JSON.parse(json.stdout)).toMatchObject({ profiles: [{ calls: 3 }] });
    const refused = await runStatus([status]);
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('MCP_PROXY_STATUS_TOKEN');
  });

  it('mcp-sigv4-proxy status --watch redraws a terminal with later calls until Ctrl-C', async () => {
    const server = await echoServer();
    const { proxy, status } = await startWithStatus(server.url);
    await proxy.initialize({}, 'init');
    const terminal = await Terminal.start({ args: ['status', status, '--watch'], columns: 60 });
    await terminal.shows(/calls {8}1, 0 errors/);
    await proxy.request('tools/call', { name: 'echo', arguments: { text: 'x' } }, 0);
    await terminal.shows(/calls {8}1, 0[\s\S]*\[H[\s\S]*\[J[\s\S]*calls {8}2, 0 errors/);
    terminal.type('\x03');
    await terminal.exit();
    // A wider line would break the redrawing.
    const lines = terminal.raw.split('\n').map((line) => line.replaceAll(/\W\[[HJ]/g, ''));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
  });

  it('mcp-sigv4-proxy status names the remedy where nothing answers, or something else does', async () => {
    const nothing = await runStatus(['http://127.0.0.1:9/']);
    expect(nothing).toMatchObject({ code: 1, stdout: '' });
    expect(nothing.stderr).toContain('Is the proxy running, with --status?');
    expect(await runStatus(['ftp://127.0.0.1/'])).toMatchObject({ code: 2, stdout: '' });
  });
});
