import { servedProfiles } from '../auth/credentials/profile-list.ts';
import { Events } from '../core/pipeline/events.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { attachHooks, type ProxyHooks } from '../observe/hooks.ts';
import type { ExpositionFormat } from '../observe/metrics/exposition.ts';
import { ProxyMetrics, type SnapshotPublisher } from '../observe/metrics/proxy-metrics.ts';
import type { MetricsSnapshot } from '../observe/metrics/snapshot.ts';
import { McpProxy, type ProxyDeps } from '../proxy.ts';
import type { Settings } from '../settings.ts';
import { VERSION } from '../version.ts';

/** The optional parts of a proxy. */
export interface ObservedProxyDeps extends ProxyDeps {
  /** Functions to call when something happens. */
  readonly hooks?: ProxyHooks;
}

/** The metrics of a proxy. */
export interface MetricsReader {
  /** Returns a detached copy of all counts, and of the state at this moment. */
  snapshot(): MetricsSnapshot;
  /**
   * Returns all metrics as text for Prometheus. `format`: `prometheus` (default) or `openmetrics`.
   */
  toPrometheus(format?: ExpositionFormat): string;
  /** Adds a function that sends the metrics somewhere. */
  addPublisher(publisher: SnapshotPublisher): void;
  /**
   * Publishes to CloudWatch what was counted since the last publication, where the option
   * `cloudwatchNamespace` is set, and passes a snapshot to every added publisher. Rejects with the
   * first error, after all have run.
   */
  publish(): Promise<void>;
}

/**
 * The proxy without a client transport. Errors are returned to the client as JSON-RPC errors;
 * nothing here throws.
 */
export class ObservedProxy extends McpProxy {
  readonly #createMetrics: () => ProxyMetrics;
  #metrics: ProxyMetrics | undefined;

  /** Sends, opens and resolves nothing. */
  constructor(settings: Settings, { hooks, ...deps }: ObservedProxyDeps = {}) {
    const { events = new Events(), clock = systemClock } = deps;
    super(settings, { ...deps, events, clock });
    if (hooks) attachHooks(events, hooks);
    this.#createMetrics = () => {
      const metrics = new ProxyMetrics({
        clock,
        version: VERSION,
        profiles: servedProfiles(settings),
        state: () => this.debugSnapshot(),
        isTool: (name, profile) => this.isTool(name, profile),
      });
      events.subscribe(metrics.observe, metrics.wanted);
      this.#publishToCloudWatch(settings, metrics, clock);
      return metrics;
    };
    // The option asks for all counts.
    if (settings.cloudwatchNamespace !== undefined) this.#metrics = this.#createMetrics();
  }

  #publishToCloudWatch(settings: Settings, metrics: ProxyMetrics, clock: Clock): void {
    const { cloudwatchNamespace: namespace, defaultProfile } = settings;
    if (namespace === undefined) return;
    let publisher: Promise<() => Promise<void>> | undefined;
    metrics.addPublisher(async () => {
      publisher ??= import('../cloudwatch-wiring.ts').then(({ onDemandPublisher }) =>
        onDemandPublisher(settings, this.profileTransport(defaultProfile), namespace, {
          read: () => metrics.read(),
          clock,
        }),
      );
      await (await publisher)();
    });
  }

  /**
   * The metrics. They count from the first access on: a proxy whose metrics nobody reads measures
   * nothing. Read them once before the first message to count everything.
   */
  get metrics(): MetricsReader {
    this.#metrics ??= this.#createMetrics();
    return this.#metrics;
  }

  /** As `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes every connection and kills a running credential_process. */
  override stop(): void {
    this.#metrics?.close();
    super.stop();
  }
}
