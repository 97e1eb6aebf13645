import type { NamedPoolMetrics } from './exposition.ts';
import { KEY_METRICS, keyLabels, POOL_METRICS, type PoolMetric } from './metric-table.ts';

/** The attributes of a measurement. */
export type MeterAttributes = Readonly<Record<string, string | number | boolean>>;

/** Receives the numbers of one collection. */
export interface MeterResult {
  /** Receives one number. */
  observe(instrument: object, value: number, attributes?: MeterAttributes): void;
}

/** The part of a `Meter` of `@opentelemetry/api` that a pool uses. */
export interface PoolMeter {
  /** Creates a counter, whose value only increases. */
  createObservableCounter(name: string, options?: { description?: string; unit?: string }): object;
  /** Creates a gauge. */
  createObservableGauge(name: string, options?: { description?: string; unit?: string }): object;
  /** Calls the function with each collection. */
  addBatchObservableCallback(callback: (result: MeterResult) => void, instruments: object[]): void;
  /** Removes the callback. */
  removeBatchObservableCallback(callback: (result: MeterResult) => void, instruments: object[]): void;
}

/**
 * Reports the numbers of pools with each collection of the meter.
 * @returns a function that ends it.
 */
export function reportPools(
  meter: PoolMeter,
  attributes: MeterAttributes,
  read: () => readonly NamedPoolMetrics[],
): () => void {
  const ofPools = POOL_METRICS.map((metric) => ({ metric, instrument: instrumentOf(meter, metric) }));
  const ofKeys = KEY_METRICS.map((metric) => ({ metric, instrument: instrumentOf(meter, metric) }));
  const callback = (result: MeterResult) => {
    for (const { name, metrics } of read()) {
      const own = name === undefined ? attributes : { ...attributes, 'mcp.session_pool.name': name };
      for (const { metric, instrument } of ofPools) result.observe(instrument, metric.read(metrics), own);
      for (const each of metrics.keys) {
        const { key, endpoint } = keyLabels(each);
        const labels = { ...own, 'mcp.session_pool.key': key, 'url.full': endpoint };
        for (const { metric, instrument } of ofKeys) result.observe(instrument, metric.read(each), labels);
      }
    }
  };
  const instruments = [...ofPools, ...ofKeys].map(({ instrument }) => instrument);
  meter.addBatchObservableCallback(callback, instruments);
  return () => meter.removeBatchObservableCallback(callback, instruments);
}

function instrumentOf<M>(meter: PoolMeter, { name, help, kind }: PoolMetric<M>): object {
  const isTime = name.endsWith('_seconds');
  const full = `mcp.session_pool.${name.replace(/_seconds$/, '')}`;
  const options = { description: help, ...(isTime ? { unit: 's' } : {}) };
  return kind === 'counter'
    ? meter.createObservableCounter(full, options)
    : meter.createObservableGauge(full, options);
}
