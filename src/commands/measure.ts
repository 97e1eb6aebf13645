import { servedProfiles } from '../auth/credentials/profile-list.ts';
import { cloudWatchSender } from '../cloudwatch-wiring.ts';
import type { Events, ProxyEvent } from '../core/pipeline/events.ts';
import type { ListenerState } from '../core/pipeline/proxy-state.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import type { IdentityProxies } from '../identity-proxies.ts';
import { readMetadata } from '../layers/metadata.ts';
import { DeltaReader } from '../observe/cloudwatch/deltas.ts';
import { emfLines } from '../observe/cloudwatch/emf.ts';
import { CloudWatchPublisher, type SendDeltas } from '../observe/cloudwatch/publisher.ts';
import { ProxyMetrics } from '../observe/metrics/proxy-metrics.ts';
import type { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';
import { VERSION } from '../version.ts';

export interface MeasureDeps {
  readonly settings: Settings;
  readonly proxy: McpProxy;
  readonly events: Events;
  /** Events that were emitted before. */
  readonly early: Iterable<ProxyEvent>;
  /** Undefined without a listener, or until it listens. */
  readonly listener: () => ListenerState | undefined;
  /** Undefined without --identity-map, and until the listener listens. */
  readonly identities?: () => Pick<IdentityProxies, 'describe'> | undefined;
  readonly clock?: Clock;
}

/** Starts to count what the events report. */
export function measure({
  settings,
  proxy,
  events,
  early,
  listener,
  identities = () => undefined,
  clock = systemClock,
}: MeasureDeps): ProxyMetrics {
  const metrics = new ProxyMetrics({
    clock,
    version: VERSION,
    profiles: servedProfiles(settings),
    state: () => {
      const own = proxy.debugSnapshot();
      return identities()?.describe(own) ?? own;
    },
    listener,
    isTool: (name, profile) => proxy.isTool(name, profile),
  });
  for (const event of early) metrics.observe(event);
  events.subscribe(metrics.observe, metrics.wanted);
  return metrics;
}

/** The namespace of --log-format emf where none is given. */
const EMF_NAMESPACE = 'mcp-sigv4-proxy';

export interface PublishDeps extends Pick<MeasureDeps, 'settings' | 'proxy' | 'events' | 'clock'> {
  readonly metrics: ProxyMetrics;
  /** Writes a line to the log. */
  readonly line: (text: string) => void;
}

/**
 * Publishes metrics to CloudWatch, by requests or as lines of the log; undefined where not asked.
 */
export function publish({
  settings,
  proxy,
  events,
  metrics,
  line,
  clock = systemClock,
}: PublishDeps): CloudWatchPublisher | undefined {
  const { cloudwatchNamespace, cloudwatchInterval, logFormat } = settings;
  const isEmf = logFormat === 'emf';
  if (cloudwatchNamespace === undefined && !isEmf) return undefined;
  const namespace = cloudwatchNamespace ?? EMF_NAMESPACE;
  const dimensions = readMetadata(settings.cloudwatchDimensions);
  const writeLines: SendDeltas = async (deltas, now) => {
    for (const text of emfLines(deltas, { namespace, dimensions, now })) line(text);
    for (const { commit } of deltas) commit();
  };
  return new CloudWatchPublisher({
    deltas: new DeltaReader(() => metrics.read()),
    sender: isEmf
      ? async () => writeLines
      : () => cloudWatchSender(settings, proxy.profileTransport(settings.defaultProfile), namespace),
    intervalMs: cloudwatchInterval * 1_000,
    namespace,
    clock,
    events,
  });
}
