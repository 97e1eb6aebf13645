import { Agent } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import { createOtlpNetworkExportDelegate, OTLPExporterBase } from '@opentelemetry/otlp-exporter-base';
import {
  convertLegacyHttpOptions,
  createOtlpHttpExporterMetrics,
} from '@opentelemetry/otlp-exporter-base/node-http';
import type { ISerializer } from '@opentelemetry/otlp-transformer';
import type { Clock } from '../../core/time/clock.ts';
import type { OtelProtocol } from './otel-settings.ts';
import { type ConnectCollector, OtlpTransport } from './otlp-transport.ts';

/** The place of a signal in the variables, and in the default path. */
const SIGNALS = {
  traces: { variable: 'TRACES', path: 'v1/traces', item: 'span' },
  metrics: { variable: 'METRICS', path: 'v1/metrics', item: 'metric_data_point' },
} as const;

const CONTENT_TYPES: Readonly<Record<OtelProtocol, string>> = {
  'http/protobuf': 'application/x-protobuf',
  'http/json': 'application/json',
};

/** OTLP wants the name of the exporter, and permits that of the product before it. */
const USER_AGENT = 'mcp-sigv4-proxy OTel-OTLP-Exporter-JavaScript';

export interface OtlpExporterOptions {
  readonly signal: keyof typeof SIGNALS;
  readonly protocol: OtelProtocol;
  readonly clock: Clock;
  readonly connectCollector: ConnectCollector;
}

/**
 * Creates the SDK's OTLP exporter with a transport of the proxy. The SDK reads the
 * OTEL_EXPORTER_OTLP_* variables, serializes, and bounds the exports in flight.
 */
export async function createOtlpExporter<Data, Answer>(
  { signal, protocol, clock, connectCollector }: OtlpExporterOptions,
  serializer: ISerializer<Data, Answer>,
): Promise<OTLPExporterBase<Data>> {
  const { variable, path, item } = SIGNALS[signal];
  const settings = convertLegacyHttpOptions({}, variable, path, {
    'Content-Type': CONTENT_TYPES[protocol],
    'User-Agent': USER_AGENT,
  });
  const { origin, pathname, search } = new URL(settings.url);
  const transport = new OtlpTransport({
    collector: connectCollector({ origin, tls: await tlsOf(settings) }, clock),
    path: `${pathname}${search}`,
    headers: settings.headers,
    compresses: settings.compression === 'gzip',
    clock,
  });
  // Disables the exporter's metrics about itself, which are not used.
  const silent = createOtlpHttpExporterMetrics<Data>(
    `otlp_http_${item}_exporter`,
    { name: item, countItems: () => 0 },
    settings.url,
    undefined,
  );
  return new OTLPExporterBase(createOtlpNetworkExportDelegate(settings, serializer, silent, transport));
}

/** The certificates that the variables name. The SDK gives them to an agent, which is not used. */
async function tlsOf({
  url,
  agentFactory,
}: ReturnType<typeof convertLegacyHttpOptions>): Promise<SecureContextOptions> {
  const { protocol } = new URL(url);
  const agent = protocol === 'https:' ? await agentFactory(protocol) : undefined;
  if (!(agent instanceof Agent)) return {};
  const { ca, cert, key } = agent.options;
  return { ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
}
