import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';
import { send } from '../support/http-client.ts';
import { openSession } from '../support/listening.ts';
import { OtlpReceiver } from '../support/otlp-receiver.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';
import { connectToBoth, logged, startWorkers, untilLogged } from '../support/workers.ts';

const call = (id: unknown = 0) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'echo', arguments: {} },
});

async function startWithStatus(args: readonly string[] = []) {
  const workers = await startWorkers({ args: ['--status', '127.0.0.1:0', ...args] });
  const [line] = await untilLogged(workers.bin, 'status.opened', 1);
  const { url } = line as unknown as { url: string };
  const read = async (path: string): Promise<string> =>
    (await send(new URL(path, url).href, { method: 'GET' })).text;
  /** The sum of the series of a metric whose labels match. */
  const sum = async (name: string, labels = ''): Promise<number> =>
    (await read('metrics'))
      .split('\n')
      .filter((each) => each.startsWith(name) && each.includes(labels))
      .reduce((total, each) => total + Number(each.split(' ').at(-1)), 0);
  const status = async () => JSON.parse(await read('status.json')) as Record<string, unknown>;
  return { ...workers, statusUrl: url, read, sum, status };
}

const CALLS = 'mcp_sigv4_proxy_calls_total{';

it('the spans of each worker have a service.instance.id of its own', async () => {
  const receiver = await OtlpReceiver.start();
  const { url, bin } = await startWorkers({
    env: {
      ...receiver.env,
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_RESOURCE_ATTRIBUTES: 'service.instance.id=pod-7',
    },
  });
  await connectToBoth(url);
  bin.kill();
  expect(await bin.exit()).toEqual({ code: 0, signal: null });
  expect([...receiver.instances].sort()).toEqual(['pod-7-0', 'pod-7-1']);
});

describe('the status address of --workers', () => {
  it('the status address adds the counts of both workers, also after one was killed', async () => {
    const { url, ask, server, sum, status, bin, pids } = await startWithStatus();
    const session = await openSession(ask);
    const connections = await connectToBoth(url);
    for (let id = 0; id < 6; id++) {
      for (const connection of connections) await connection({ headers: session, body: call(id) });
    }
    const served = server.requests.filter(({ rpc }) => rpc.method === 'tools/call').length;
    expect(served).toBe(12);
    expect(await sum(CALLS, 'method="tools/call"')).toBe(12);
    expect(await sum('mcp_server_operation_duration_seconds_count', 'tools/call')).toBe(12);
    expect(await status()).toMatchObject({
      listener: { connections: 2, url },
      profiles: [{ signatures: server.requests.length }],
    });
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await untilLogged(bin, 'listener.opened', 3);
    expect(await sum(CALLS, 'method="tools/call"')).toBe(12);
    await ask({ headers: session, body: call('') });
    expect(await sum(CALLS, 'method="tools/call"')).toBe(13);
    expect(await sum('mcp_sigv4_proxy_build_info')).toBe(1);
    expect(await sum('mcp_sigv4_proxy_breaker_state', 'state="closed"')).toBe(1);
  });

  it('the status address keeps all counts of a worker that drained', async () => {
    const { url, ask, sum, bin, pids } = await startWithStatus();
    const session = await openSession(ask);
    for (const connection of await connectToBoth(url)) await connection({ headers: session, body: call(-1) });
    process.kill(pids[0] ?? 0, 'SIGTERM');
    await untilLogged(bin, 'listener.opened', 3);
    expect(await sum(CALLS, 'method="tools/call"')).toBe(2);
  });

  it('the status address is ready while a worker listens, and not while the workers leave', async () => {
    const { statusUrl, bin } = await startWithStatus(['--drain-delay', '1']);
    const ready = async () => {
      const { status, text } = await send(new URL('readyz', statusUrl).href, { method: 'GET' });
      return [status, text];
    };
    expect(await ready()).toEqual([200, 'ok\n']);
    bin.kill('SIGTERM');
    await untilLogged(bin, 'listener.leaving', 2);
    expect(await ready()).toEqual([503, 'leaving\n']);
    expect((await send(new URL('healthz', statusUrl).href, { method: 'GET' })).status).toBe(200);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });

  it('the status address that is in use prints one error and starts no worker', async () => {
    const other = createServer();
    const port = await listenOnLoopback(other);
    afterThisTest(() => void other.close());
    const listen = ['--listen', '127.0.0.1:0', '--workers', '2', '--status', `127.0.0.1:${port}`];
    const bin = BinDriver.start({
      args: ['http://127.0.0.1:9/mcp', ...signingArgs, ...listen, '--log-level', 'info'],
      env: signingEnv,
    });
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.stderr).toMatch(/^mcp-sigv4-proxy: cannot serve the status on 127\.0\.0\.1:\d+: .*\n$/);
    expect(logged(bin, 'worker.started')).toEqual([]);
  });
});
