// The only file that imports the OpenTelemetry SDK. It is loaded after the first message was
// forwarded, and only if an OTEL_* variable requests traces or metrics.
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { OTLPExporterBase } from '@opentelemetry/otlp-exporter-base';
import {
  JsonMetricsSerializer,
  JsonTraceSerializer,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
} from '@opentelemetry/otlp-transformer';
import {
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace';
import type { Clock } from '../../core/time/clock.ts';
import type { Metrics } from '../metrics/catalog.ts';
import { describedSpan, ExportedSpan, toHrTime } from './exported-span.ts';
import type { FinishedSpan } from './finished-span.ts';
import { toResourceMetrics } from './metric-data.ts';
import { MetricDeltas } from './metric-deltas.ts';
import type { SignalSettings } from './otel-settings.ts';
import { createOtlpExporter } from './otlp-exporter.ts';
import type { ConnectCollector } from './otlp-transport.ts';
import type { SpanOrigin } from './protobuf-spans.ts';
import { type BatchLimits, SpanBatches } from './span-batches.ts';

/** Reports the result of each export: undefined for a success. */
export type OnExport = (failure: string | undefined) => void;

export interface SdkOptions {
  readonly clock: Clock;
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes one line of the console exporter. */
  readonly print: (line: string) => void;
  readonly connectCollector: ConnectCollector;
}

export interface SpanSink {
  take(span: FinishedSpan): void;
  /** Sends what is left. Never throws. */
  shutdown(): Promise<void>;
}

const SCOPE_NAME = 'mcp-sigv4-proxy';

const numberOf = (value: string | undefined): number | undefined => {
  const number = value ? Number(value) : Number.NaN;
  return Number.isInteger(number) && number > 0 ? number : undefined;
};

/** OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over the defaults. */
export const createResource = (version: string): Resource =>
  resourceFromAttributes({
    'service.name': SCOPE_NAME,
    'service.version': version,
    'telemetry.sdk.language': 'nodejs',
    'telemetry.sdk.name': 'opentelemetry',
    'process.pid': process.pid,
    'process.runtime.name': 'nodejs',
    'process.runtime.version': process.versions.node,
  }).merge(detectResources({ detectors: [envDetector] }));

/** Creates the batches and exporters of traces. */
export async function createSpanSink(
  { exporters, protocol }: SignalSettings,
  options: SdkOptions,
  onExport: OnExport,
): Promise<SpanSink> {
  const resource = createResource(options.version);
  const scope = { name: SCOPE_NAME, version: options.version };
  const limits = batchLimits(options.env);
  const { clock, connectCollector } = options;
  const sinkOf = async (name: SignalSettings['exporters'][number]): Promise<SpanSink> => {
    const target = { signal: 'traces', protocol, clock, connectCollector } as const;
    if (name === 'otlp' && protocol === 'http/protobuf') {
      const exporter = await createOtlpExporter(target, ENCODED);
      return encodedSink(exporter, { resource: resource.attributes, scope }, limits, clock, onExport);
    }
    const exporter =
      name === 'otlp'
        ? reported(await createOtlpExporter(target, JsonTraceSerializer), onExport)
        : stderrExporter(options);
    const processor = new BatchSpanProcessor({ exporter, ...limits });
    return {
      take: (span) => processor.onEnd(new ExportedSpan(span, resource, scope)),
      shutdown: () => processor.shutdown(),
    };
  };
  const sinks = await Promise.all(exporters.map(sinkOf));
  const [only] = sinks;
  if (only && sinks.length === 1) return only;
  return {
    take(span) {
      for (const sink of sinks) sink.take(span);
    },
    async shutdown() {
      await Promise.allSettled(sinks.map((sink) => sink.shutdown()));
    },
  };
}

/** Spans that are encoded already. */
const ENCODED = {
  serializeRequest: (batch: Uint8Array) => batch,
  deserializeResponse: (data: Uint8Array) => ProtobufTraceSerializer.deserializeResponse(data),
};

/** Sends encoded spans through the SDK's exporter, with its settings. */
function encodedSink(
  exporter: OTLPExporterBase<Uint8Array>,
  origin: SpanOrigin,
  limits: BatchLimits,
  clock: Clock,
  onExport: OnExport,
): SpanSink {
  const send = (batch: Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      exporter.export(batch, (result) => {
        onExport(failureOf(result));
        resolve();
      });
    });
  const batches = new SpanBatches({ limits, origin, clock, send });
  return {
    take: (span) => batches.take(span),
    async shutdown() {
      await batches.shutdown();
      await exporter.shutdown();
    },
  };
}

/** The defaults are those of the specification. */
const batchLimits = (env: SdkOptions['env']): BatchLimits => ({
  maxQueueSize: numberOf(env.OTEL_BSP_MAX_QUEUE_SIZE) ?? 2_048,
  maxExportBatchSize: numberOf(env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE) ?? 512,
  scheduledDelayMillis: numberOf(env.OTEL_BSP_SCHEDULE_DELAY) ?? 5_000,
  exportTimeoutMillis: numberOf(env.OTEL_BSP_EXPORT_TIMEOUT) ?? 30_000,
});

export interface MetricSink {
  /** Sends the metrics. Never throws. */
  send(metrics: Metrics, now: number): Promise<void>;
  shutdown(): Promise<void>;
}

/** Creates the exporters of metrics. @param since - when the counters began, wall clock. */
export async function createMetricSink(
  { exporters, protocol, temporality }: SignalSettings,
  options: SdkOptions,
  since: number,
  onExport: OnExport,
): Promise<MetricSink> {
  const resource = createResource(options.version);
  const scope = { name: SCOPE_NAME, version: options.version };
  const startTime = toHrTime(since);
  const deltas = temporality === 'delta' ? new MetricDeltas(startTime) : undefined;
  const { clock, connectCollector } = options;
  const target = { signal: 'metrics', protocol, clock, connectCollector } as const;
  const serializer = protocol === 'http/json' ? JsonMetricsSerializer : ProtobufMetricsSerializer;
  const otlp = exporters.includes('otlp')
    ? await createOtlpExporter<ResourceMetrics, unknown>(target, serializer)
    : undefined;
  return {
    async send(metrics, now) {
      const endTime = toHrTime(now);
      const cumulative = toResourceMetrics({ metrics, resource, scope, startTime, endTime });
      const delta = deltas?.take(cumulative, endTime);
      const collected = delta?.metrics ?? cumulative;
      if (exporters.includes('console')) options.print(JSON.stringify(collected.scopeMetrics));
      if (!otlp) {
        delta?.commit();
        return;
      }
      await new Promise<void>((resolve) => {
        otlp.export(collected, (result) => {
          const failure = failureOf(result);
          if (failure === undefined) delta?.commit();
          onExport(failure);
          resolve();
        });
      });
    },
    shutdown: async () => otlp?.shutdown(),
  };
}

/** Reports failed exports, which the SDK drops silently. */
const reported = (exporter: SpanExporter, onExport: OnExport): SpanExporter => ({
  export: (spans, done) =>
    exporter.export(spans, (result) => {
      onExport(failureOf(result));
      done(result);
    }),
  shutdown: () => exporter.shutdown(),
  ...(exporter.forceFlush ? { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() } : {}),
});

/** The failure of an export as a clause; undefined for a success. */
export function failureOf({ code, error }: ExportResult): string | undefined {
  if (code === ExportResultCode.SUCCESS) return undefined;
  if (!error) return 'it gave no reason';
  const status = 'code' in error && typeof error.code === 'number' ? `HTTP ${error.code} ` : '';
  return `${status}${error.message}`.trim() || error.name;
}

/** stdout carries MCP messages only, so the SDK's console exporter cannot be used. */
const stderrExporter = ({ print }: SdkOptions): SpanExporter => ({
  export(spans, done) {
    for (const span of spans) print(JSON.stringify(describedSpan((span as ExportedSpan).span)));
    done({ code: ExportResultCode.SUCCESS });
  },
  shutdown: () => Promise.resolve(),
});
