/**
 * True where a variable of OpenTelemetry may switch traces or metrics on. The other variables alone
 * are for other programs.
 */
export const isTelemetryRequested = (env: Readonly<Record<string, string | undefined>>): boolean =>
  env.OTEL_SDK_DISABLED?.toLowerCase() !== 'true' && SWITCHES.some((name) => env[name]);

const SWITCHES = [
  'OTEL_TRACES_EXPORTER',
  'OTEL_METRICS_EXPORTER',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
] as const;

/**
 * True where traces are passed on in X-Ray's header, which the listener does not read otherwise.
 */
export const usesXray = (env: Readonly<Record<string, string | undefined>>): boolean =>
  isTelemetryRequested(env) && (env.OTEL_PROPAGATORS ?? '').split(',').some((name) => name.trim() === 'xray');
