/**
 * True if an OTEL_* variable may switch traces or metrics on. Other OTEL_* variables alone may be
 * meant for other programs.
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
 * True if traces are propagated in the X-Ray header. Only then, the listener forwards that header.
 */
export const usesXray = (env: Readonly<Record<string, string | undefined>>): boolean =>
  isTelemetryRequested(env) && (env.OTEL_PROPAGATORS ?? '').split(',').some((name) => name.trim() === 'xray');
