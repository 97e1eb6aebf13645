import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { expect, it } from 'vitest';
import { PoolManager } from '../../../src/library/index.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { startedPool } from './memory-server.ts';

/** A pool with a borrowed session of one user, and a returned one of another. */
async function usedPool() {
  const rig = await startedPool({ endpoint: 'https://user:word@one.example/mcp?token=secret', maxKeys: 5 });
  const lease = await rig.pool.session({ identity: 'ada', tenant: 'say "hi"\n' });
  await rig.pool.callTool('echo', {}, { identity: 'bob' });
  afterThisTest(() => lease.release());
  return rig;
}

const linesOf = (text: string, name: string): string[] =>
  text.split('\n').filter((line) => line.startsWith(name));

it('a pool writes its numbers and those of each key as text for Prometheus, without secrets of the endpoint', async () => {
  const { pool } = await usedPool();
  const text = pool.toPrometheus();
  expect(linesOf(text, 'mcp_session_pool_active_sessions')).toEqual(['mcp_session_pool_active_sessions 1']);
  expect(linesOf(text, 'mcp_session_pool_borrows_total')).toEqual(['mcp_session_pool_borrows_total 2']);
  const keys = pool.metrics().keys.map(({ key }) => `key="${key}",endpoint="https://one.example/mcp"`);
  expect(linesOf(text, 'mcp_session_pool_key_active_sessions')).toEqual(
    [0, 1, 0].map((active, at) => `mcp_session_pool_key_active_sessions{${keys[at]}} ${active}`),
  );
  expect(linesOf(text, 'mcp_session_pool_key_misses_total')).toHaveLength(3);
  expect(text).not.toMatch(/secret|word/);
  const helped = new Set(text.match(/(?<=^# TYPE )\S+/gm));
  for (const line of text.split('\n').filter((each) => each !== '' && !each.startsWith('#')))
    expect(helped).toContain(/^\w+/.exec(line)?.[0]);
  expect(pool.toPrometheus('openmetrics')).toMatch(
    /# TYPE mcp_session_pool_borrows counter\n[\s\S]*# EOF\n$/,
  );
});

it('a manager writes the numbers of all pools with their names', async () => {
  const manager = new PoolManager();
  await manager.add('east', (await usedPool()).pool as never);
  await manager.add('west', (await startedPool()).pool as never);
  const text = manager.toPrometheus();
  expect(linesOf(text, 'mcp_session_pool_active_sessions')).toEqual([
    'mcp_session_pool_active_sessions{pool="east"} 1',
    'mcp_session_pool_active_sessions{pool="west"} 0',
  ]);
  expect(linesOf(text, 'mcp_session_pool_key_circuit_open{pool="west"')).toHaveLength(1);
});

it('a pool reports its numbers to a meter of OpenTelemetry until that is ended', async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter });
  const provider = new MeterProvider({ readers: [reader] });
  afterThisTest(() => provider.shutdown());
  const collect = async () => {
    exporter.reset();
    await reader.forceFlush();
    const metrics = exporter
      .getMetrics()
      .flatMap((each) => each.scopeMetrics)
      .flatMap((each) => each.metrics);
    return new Map(metrics.map((each) => [each.descriptor.name, each]));
  };
  const { pool } = await usedPool();
  const end = pool.reportTo(provider.getMeter('test'), { service: 'shop' });
  const metrics = await collect();
  const pointsOf = (name: string) =>
    metrics.get(`mcp.session_pool.${name}`)?.dataPoints.map(({ value, attributes }) => [value, attributes]);
  expect(pointsOf('borrows')).toEqual([[2, { service: 'shop' }]]);
  expect(metrics.get('mcp.session_pool.borrow_wait')?.descriptor.unit).toBe('s');
  const { keys } = pool.metrics();
  expect(pointsOf('key_active_sessions')).toEqual(
    [0, 1, 0].map((active, at) => [
      active,
      {
        service: 'shop',
        'mcp.session_pool.key': keys[at]?.key,
        'url.full': 'https://one.example/mcp',
      },
    ]),
  );
  end();
  await pool.callTool('echo', {}, { identity: 'bob' });
  const kept = (await collect()).get('mcp.session_pool.borrows')?.dataPoints ?? [];
  expect(kept.map(({ value }) => value)).not.toContain(3);
});
