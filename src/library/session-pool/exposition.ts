import { type AnyFamily, type ExpositionFormat, exposition } from '../../observe/metrics/exposition.ts';
import { counter, gauge } from '../../observe/metrics/families.ts';
import { KEY_METRICS, keyLabels, POOL_METRICS, type PoolMetric } from './metric-table.ts';
import type { SessionPoolMetrics } from './metrics.ts';

/** The metrics of a pool with its name in a manager. */
export interface NamedPoolMetrics {
  /** Undefined where there is one pool only: its series have no label for it. */
  readonly name: string | undefined;
  readonly metrics: SessionPoolMetrics;
}

const PREFIX = 'mcp_session_pool_';

/** Writes the metrics of pools as text for Prometheus. Pure. */
export function poolExposition(pools: readonly NamedPoolMetrics[], format: ExpositionFormat): string {
  const isNamed = pools.some(({ name }) => name !== undefined);
  const poolLabels = isNamed ? ['pool'] : [];
  const valuesOf = (name: string | undefined): string[] => (isNamed ? [name ?? ''] : []);
  const families: AnyFamily[] = POOL_METRICS.map((metric) => {
    const family = familyOf(metric, poolLabels);
    for (const { name, metrics } of pools) family.of(...valuesOf(name)).value = metric.read(metrics);
    return family;
  });
  for (const metric of KEY_METRICS) {
    const family = familyOf(metric, [...poolLabels, 'key', 'endpoint']);
    for (const { name, metrics } of pools)
      for (const each of metrics.keys) {
        const { key, endpoint } = keyLabels(each);
        family.of(...valuesOf(name), key, endpoint).value = metric.read(each);
      }
    families.push(family);
  }
  const tenants = gauge({
    name: `${PREFIX}tenant_sessions`,
    help: 'Borrowed sessions of each tenant that has one.',
    labels: [...poolLabels, 'tenant'],
  });
  for (const { name, metrics } of pools)
    for (const [tenant, sessions] of Object.entries(metrics.tenants))
      tenants.of(...valuesOf(name), tenant).value = sessions;
  return exposition([...families, tenants], format);
}

function familyOf<M>({ name, help, kind }: PoolMetric<M>, labels: readonly string[]) {
  if (kind === 'counter') return counter({ name: `${PREFIX}${name}_total`, help, labels });
  return gauge({ name: `${PREFIX}${name}`, help, labels });
}
