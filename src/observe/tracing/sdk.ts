// The only file that imports the OpenTelemetry SDK. It is loaded after the first message was
// forwarded, and only where an OTEL_* variable asks for traces or metrics.
import type { HrTime, SpanContext, TraceState } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode, hrTimeDuration } from '@opentelemetry/core';
import { OTLPMetricExporter as JsonMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as ProtobufMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter as JsonTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace';
import type { Metrics } from '../metrics/catalog.ts';
import type { FinishedSpan } from './finished-span.ts';
import { toResourceMetrics } from './metric-data.ts';
import { MetricDeltas } from './metric-deltas.ts';
import type { SignalSettings } from './otel-settings.ts';

/** Reports the result of each export: undefined for a success. */
export type OnExport = (failure: string | undefined) => void;

export interface SdkOptions {
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes one line of the console exporter. */
  readonly print: (line: string) => void;
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
export function createSpanSink(
  { exporters, protocol }: SignalSettings,
  options: SdkOptions,
  onExport: OnExport,
): SpanSink {
  const resource = createResource(options.version);
  const scope = { name: SCOPE_NAME, version: options.version };
  const { env } = options;
  const processors = exporters.map((exporter) => {
    const sent = exporter === 'otlp' ? reported(otlpExporter(protocol), onExport) : stderrExporter(options);
    return new BatchSpanProcessor({ exporter: sent, ...batchLimits(env) });
  });
  return {
    take(span) {
      const readable = new ExportedSpan(span, resource, scope);
      for (const processor of processors) processor.onEnd(readable);
    },
    async shutdown() {
      await Promise.allSettled(processors.map((processor) => processor.shutdown()));
    },
  };
}

/** The defaults are those of the specification. */
const batchLimits = (env: SdkOptions['env']) => ({
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
export function createMetricSink(
  { exporters, protocol, temporality }: SignalSettings,
  options: SdkOptions,
  since: number,
  onExport: OnExport,
): MetricSink {
  const resource = createResource(options.version);
  const scope = { name: SCOPE_NAME, version: options.version };
  const startTime = toHrTime(since);
  const deltas = temporality === 'delta' ? new MetricDeltas(startTime) : undefined;
  const otlp = exporters.includes('otlp')
    ? protocol === 'http/json'
      ? new JsonMetricExporter()
      : new ProtobufMetricExporter()
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

const otlpExporter = (protocol: SignalSettings['protocol']): SpanExporter =>
  protocol === 'http/json' ? new JsonTraceExporter() : new ProtobufTraceExporter();

/** The SDK drops failed batches without a word. */
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
    for (const span of spans) print(JSON.stringify((span as ExportedSpan).span));
    done({ code: ExportResultCode.SUCCESS });
  },
  shutdown: () => Promise.resolve(),
});

const KINDS = { internal: 0, server: 1, client: 2 } as const;
const UNSET = 0;
const ERROR = 2;
const SAMPLED = 1;
const NONE: [] = [];

const toHrTime = (ms: number): HrTime => {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
};

/** A finished span as the SDK's exporters read it. */
class ExportedSpan implements ReadableSpan {
  readonly span: FinishedSpan;
  readonly resource: Resource;
  readonly instrumentationScope: ReadableSpan['instrumentationScope'];
  readonly ended = true;
  readonly events = NONE;
  readonly links = NONE;
  readonly droppedAttributesCount = 0;
  readonly droppedEventsCount = 0;
  readonly droppedLinksCount = 0;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  declare readonly parentSpanContext?: SpanContext;

  constructor(span: FinishedSpan, resource: Resource, scope: ReadableSpan['instrumentationScope']) {
    this.span = span;
    this.resource = resource;
    this.instrumentationScope = scope;
    this.startTime = toHrTime(span.startMs);
    this.endTime = toHrTime(span.endMs);
    const { traceId, parentSpanId: spanId, parentIsRemote: isRemote } = span;
    if (spanId !== undefined) this.parentSpanContext = { traceId, spanId, traceFlags: SAMPLED, isRemote };
  }

  get name(): string {
    return this.span.name;
  }

  get kind(): number {
    return KINDS[this.span.kind];
  }

  get attributes(): ReadableSpan['attributes'] {
    return this.span.attributes;
  }

  get duration(): HrTime {
    return hrTimeDuration(this.startTime, this.endTime);
  }

  get status(): ReadableSpan['status'] {
    const { error } = this.span;
    return error ? { code: ERROR, message: error.message } : { code: UNSET };
  }

  spanContext(): SpanContext {
    const { traceId, spanId, tracestate } = this.span;
    const state =
      tracestate === undefined ? {} : { traceState: { serialize: () => tracestate } as TraceState };
    return { traceId, spanId, traceFlags: SAMPLED, ...state };
  }
}
