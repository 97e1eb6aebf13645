import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { FaultServer } from '../support/fault-server.ts';
import { seededRandom } from '../support/faults.ts';
import { startWithStatus } from '../support/status-run.ts';
import { installed } from './installed.ts';

const prometheus = installed('prometheus', 'prometheus');
const promtool = installed('promtool', 'prometheus');
const run = describe.skipIf(!prometheus || !promtool);

const DEPLOY = resolve('deploy');
const dashboard = (): readonly string[] => {
  const { panels } = JSON.parse(readFileSync(join(DEPLOY, 'grafana-dashboard.json'), 'utf8')) as {
    panels: { targets: { expr: string }[] }[];
  };
  return panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
};
const inGrafana = (expr: string): string =>
  expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*').replaceAll('$profile', '.*');

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise<void>((done) => server.close(() => done()));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Prometheus that scrapes one target every second, with the rules of deploy/. */
async function startPrometheus(target: string) {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-prometheus-'));
  const port = await freePort();
  const config = readFileSync(join(DEPLOY, 'prometheus.yml'), 'utf8')
    .replaceAll('127.0.0.1:9464', target)
    .replace('scrape_interval: 15s', 'scrape_interval: 1s\n  evaluation_interval: 1s')
    .replace('alerts.yml', join(DEPLOY, 'alerts.yml'));
  writeFileSync(join(folder, 'prometheus.yml'), config);
  const child = spawn(
    prometheus ?? '',
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  afterThisTest(async () => {
    const ended = new Promise((done) => child.once('exit', done));
    child.kill();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  const api = async (path: string): Promise<{ status: string; data: never }> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
    return (await response.json()) as { status: string; data: never };
  };
  const query = async (expr: string): Promise<number | undefined> => {
    const { status, data } = await api(`query?query=${encodeURIComponent(expr)}`);
    expect([expr, status]).toEqual([expr, 'success']);
    const [first] = (data as { result: { value: [number, string] }[] }).result;
    return first && Number(first.value[1]);
  };
  return { api, query };
}

run('Prometheus', () => {
  let exprs: readonly string[] = [];
  beforeAll(() => {
    exprs = dashboard();
  });

  it('Prometheus accepts the rules of deploy/, and promtool finds nothing to improve in /metrics', async () => {
    execFileSync(promtool ?? '', ['check', 'rules', join(DEPLOY, 'alerts.yml')]);
    const server = await FaultServer.start();
    const { proxy, get } = await startWithStatus(server.url);
    await proxy.initialize({}, 'init');
    await proxy.request('tools/call', { name: 'mark', arguments: { token: 'a' } }, 0);
    const input = await (await get('/metrics')).text();
    const output = execFileSync(promtool ?? '', ['check', 'metrics'], { input, encoding: 'utf8' });
    expect(output).toBe('');
  });

  it('Prometheus reports the exact counts of a server after a seeded run with faults', async () => {
    const server = await FaultServer.start();
    const { proxy, status } = await startWithStatus(server.url, {
      args: ['--retry-base-delay', '0', '--retry-max-delay', '0', '--retry-mode', 'standard'],
    });
    const { api, query } = await startPrometheus(new URL(status).host);
    await expect.poll(() => query('up').catch(() => undefined)).toBe(1);
    // From the start, not absent.
    expect(await query('mcp_sigv4_proxy_retries_total{kind="turned-away"}')).toBe(0);
    const random = seededRandom(7);
    const outcomes = { ok: 0, error: 0 };
    const posted: string[] = [];
    server.plan = (what) => {
      if (what !== 'GET' && what !== 'DELETE') posted.push(what);
      const drawn = random();
      if (what !== 'tools/call' || drawn > 0.4) return { kind: 'none' };
      if (drawn > 0.3) return { kind: 'status', status: 429 };
      return drawn > 0.15 ? { kind: 'status', status: 500 } : { kind: 'lost', form: '404' };
    };
    await proxy.initialize({}, 'init');
    await proxy.request('tools/list', {}, 'list');
    for (let id = 0; id < 60; id++) {
      const params = { name: 'mark', arguments: { token: `t${id}` } };
      outcomes[(await proxy.request('tools/call', params, id)).error ? 'error' : 'ok']++;
    }
    expect(outcomes.error).toBeGreaterThan(0);
    const calls = 'mcp_sigv4_proxy_calls_total{method="tools/call",tool="mark"';
    await expect.poll(() => query(`sum(${calls}})`)).toBe(60);
    expect(await query(`${calls},outcome="ok"}`)).toBe(outcomes.ok);
    expect(await query(`${calls},outcome="error"}`)).toBe(outcomes.error);
    expect(await query('sum(mcp_sigv4_proxy_sessions_opened_total)')).toBe(server.initializes);
    expect(
      await query('sum(mcp_client_operation_duration_seconds_count{mcp_method_name="tools/call"})'),
    ).toBe(60);
    expect(await query('sum(mcp_sigv4_proxy_http_requests_total{method="POST"})')).toBe(posted.length);
    const attempts = posted.filter((what) => what === 'tools/call').length;
    const recovered = server.initializes - 1;
    expect(await query('sum(mcp_sigv4_proxy_sessions_opened_total{reason="recovery"})')).toBe(recovered);
    expect(await query('sum(mcp_sigv4_proxy_retries_total)')).toBe(attempts - 60 - recovered);
    for (const expr of exprs) await query(inGrafana(expr));
    const { data } = await api('rules');
    const rules = (data as { groups: { rules: { name: string; health: string }[] }[] }).groups.flatMap(
      (group) => group.rules,
    );
    expect(rules.length).toBeGreaterThan(5);
    await expect
      .poll(async () => {
        const { data: now } = await api('rules');
        return (now as { groups: { rules: { health: string }[] }[] }).groups
          .flatMap((group) => group.rules)
          .filter(({ health }) => health !== 'ok');
      })
      .toEqual([]);
  });

  it('deploy/ asks only for metrics that the proxy has', async () => {
    const server = await FaultServer.start();
    const { get } = await startWithStatus(server.url);
    const text = await (await get('/metrics')).text();
    const names = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name ?? ''));
    const rules = readFileSync(join(DEPLOY, 'alerts.yml'), 'utf8');
    const used = [...exprs, rules].flatMap((expr) => expr.match(/\b(?:mcp|process)_[a-z_]+/g) ?? []);
    const known = (name: string): boolean =>
      names.has(name) || names.has(name.replace(/_(bucket|sum|count)$/, ''));
    expect(used.filter((name) => /^(mcp_(sigv4|client|server)|process_)/.test(name) && !known(name))).toEqual(
      [],
    );
  });
});
