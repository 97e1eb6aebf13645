import { SAMPLERS, type SamplerName } from './sampler.ts';
import type { Propagator } from './trace-context.ts';

export type OtelProtocol = 'http/protobuf' | 'http/json';
/** `delta`: counters and histograms since the last export; gauges are as they are. */
export type Temporality = 'cumulative' | 'delta';
export type OtelExporter = 'otlp' | 'console';

/** The export settings of one signal. */
export interface SignalSettings {
  readonly exporters: readonly OtelExporter[];
  readonly protocol: OtelProtocol;
  /** For metrics only. */
  readonly temporality: Temporality;
}

/** The settings in the OTEL_* variables. The SDK's exporters read the others themselves. */
export interface OtelSettings {
  /** Undefined: no traces. */
  readonly traces: SignalSettings | undefined;
  /** Undefined: no metrics. */
  readonly metrics: SignalSettings | undefined;
  readonly sampler: SamplerName;
  readonly ratio: number;
  readonly propagators: ReadonlySet<Propagator>;
  /** The problems of ignored values, as sentences for the log. */
  readonly problems: readonly string[];
}

type OtelVariables = Readonly<Record<string, string | undefined>>;

/** Variables that can switch a signal on. Others alone may be meant for other programs. */
const EXPORTER_OF = { traces: 'OTEL_TRACES_EXPORTER', metrics: 'OTEL_METRICS_EXPORTER' } as const;
const ENDPOINT = 'OTEL_EXPORTER_OTLP_ENDPOINT';

const PROTOCOLS: readonly string[] = ['http/protobuf', 'http/json'];
const EXPORTERS: readonly string[] = ['otlp', 'console'];
const PROPAGATORS: readonly string[] = ['tracecontext', 'baggage', 'xray'];

const wordsOf = (text: string): string[] =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');

/** Quoted for a log line: the value may be of any length. */
const shown = (value: string): string => JSON.stringify(value.slice(0, 100));

/**
 * Reads the OTEL_* variables; undefined if none of them requests traces or metrics. Pure. An
 * invalid value never stops the proxy, because the variables may be meant for other programs.
 */
export function readOtelSettings(env: OtelVariables): OtelSettings | undefined {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return undefined;
  const problems: string[] = [];
  const traces = readSignal('traces', env, problems);
  const metrics = readSignal('metrics', env, problems);
  if (!traces && !metrics && problems.length === 0) return undefined;
  return {
    traces,
    metrics,
    ...(traces ? readSampler(env, problems) : { sampler: 'parentbased_always_on', ratio: 1 }),
    propagators: readPropagators(env, problems),
    problems,
  };
}

function readSignal(
  signal: 'traces' | 'metrics',
  env: OtelVariables,
  problems: string[],
): SignalSettings | undefined {
  const variable = EXPORTER_OF[signal];
  const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}`;
  const isRequested = [variable, ENDPOINT, `${own}_ENDPOINT`].some((name) => env[name]);
  if (!isRequested) return undefined;
  const named = wordsOf(env[variable] || 'otlp');
  if (named.includes('none')) return undefined;
  const exporters = named.filter((name): name is OtelExporter => EXPORTERS.includes(name));
  for (const name of named) {
    if (EXPORTERS.includes(name)) continue;
    problems.push(`${variable} must name otlp, console or none, not ${shown(name)}: it is ignored.`);
  }
  const from = env[`${own}_PROTOCOL`] ? `${own}_PROTOCOL` : 'OTEL_EXPORTER_OTLP_PROTOCOL';
  const protocol = env[from] || 'http/protobuf';
  if (exporters.includes('otlp') && !PROTOCOLS.includes(protocol)) {
    // The default does not replace grpc, because a gRPC receiver cannot read HTTP.
    problems.push(
      `${from} must be http/protobuf or http/json, not ${shown(protocol)}: no ${signal} are sent by OTLP.`,
    );
    exporters.splice(exporters.indexOf('otlp'), 1);
  }
  if (exporters.length === 0) return undefined;
  const temporality = signal === 'metrics' ? readTemporality(env, problems) : 'cumulative';
  return { exporters, protocol: protocol as OtelProtocol, temporality };
}

const TEMPORALITY = 'OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE';

function readTemporality(env: OtelVariables, problems: string[]): Temporality {
  switch ((env[TEMPORALITY] || 'cumulative').toLowerCase()) {
    case 'cumulative':
      return 'cumulative';
    // They differ in kinds of metrics that the proxy does not have.
    case 'delta':
    case 'lowmemory':
      return 'delta';
    default:
      problems.push(
        `${TEMPORALITY} must be cumulative, delta or lowmemory, not ${shown(env[TEMPORALITY] ?? '')}: cumulative is used.`,
      );
      return 'cumulative';
  }
}

function readSampler(env: OtelVariables, problems: string[]): Pick<OtelSettings, 'sampler' | 'ratio'> {
  const name = env.OTEL_TRACES_SAMPLER || 'parentbased_always_on';
  const known = SAMPLERS.find((sampler) => sampler === name);
  if (!known) {
    problems.push(
      `OTEL_TRACES_SAMPLER must be one of ${SAMPLERS.join(', ')}, not ${shown(name)}: parentbased_always_on is used.`,
    );
  }
  const argument = env.OTEL_TRACES_SAMPLER_ARG;
  const ratio = argument ? Number(argument) : 1;
  const isRatio = ratio >= 0 && ratio <= 1;
  if (known?.endsWith('traceidratio') && !isRatio) {
    problems.push(
      `OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not ${shown(argument ?? '')}: 1 is used.`,
    );
  }
  return { sampler: known ?? 'parentbased_always_on', ratio: isRatio ? ratio : 1 };
}

function readPropagators(env: OtelVariables, problems: string[]): ReadonlySet<Propagator> {
  const named = wordsOf(env.OTEL_PROPAGATORS || 'tracecontext,baggage');
  for (const name of named) {
    if (PROPAGATORS.includes(name) || name === 'none') continue;
    problems.push(
      `OTEL_PROPAGATORS must name tracecontext, baggage, xray or none, not ${shown(name)}: it is ignored.`,
    );
  }
  return new Set(named.filter((name): name is Propagator => PROPAGATORS.includes(name)));
}
