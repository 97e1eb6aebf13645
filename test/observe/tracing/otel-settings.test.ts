import { describe, expect, it } from 'vitest';
import { readOtelSettings } from '../../../src/observe/tracing/otel-settings.ts';
import { createSampler } from '../../../src/observe/tracing/sampler.ts';
import { isTelemetryRequested, usesXray } from '../../../src/observe/tracing/telemetry-variables.ts';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };
const BOTH = ['traces', 'metrics'];

const signalsOf = (env: Record<string, string>): string[] => {
  const settings = readOtelSettings(env);
  return [...(settings?.traces ? ['traces'] : []), ...(settings?.metrics ? ['metrics'] : [])];
};

describe('the variables of OpenTelemetry', () => {
  it.each([
    [{}, []],
    [{ OTEL_SERVICE_NAME: 'x', OTEL_RESOURCE_ATTRIBUTES: 'a=b', OTEL_TRACES_SAMPLER: 'always_on' }, []],
    [ENDPOINT, BOTH],
    [{ ...ENDPOINT, OTEL_SDK_DISABLED: 'true' }, []],
    [{ ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }, ['metrics']],
    [{ ...ENDPOINT, OTEL_METRICS_EXPORTER: 'none' }, ['traces']],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://x' }, ['traces']],
    [{ OTEL_METRICS_EXPORTER: 'console' }, ['metrics']],
    [{ OTEL_TRACES_EXPORTER: 'otlp,console' }, ['traces']],
    [{ OTEL_TRACES_EXPORTER: 'zipkin' }, []],
    [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, []],
    [{ ...ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc' }, ['metrics']],
  ])('the variables %j switch on %j', (env, signals) => {
    expect(signalsOf(env as Record<string, string>)).toEqual(signals);
    if (signals.length > 0) expect(isTelemetryRequested(env as Record<string, string>)).toBe(true);
  });

  it.each([
    [
      { OTEL_TRACES_EXPORTER: 'zipkin' },
      /OTEL_TRACES_EXPORTER must name otlp, console or none, not "zipkin"/,
    ],
    [
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      /OTEL_EXPORTER_OTLP_PROTOCOL must be http\/protobuf or http\/json/,
    ],
    [{ OTEL_TRACES_SAMPLER: 'jaeger_remote' }, /OTEL_TRACES_SAMPLER must be one of always_on/],
    [
      { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '2' },
      /OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not "2"/,
    ],
    [
      { OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: 'both' },
      /TEMPORALITY_PREFERENCE must be cumulative, delta or lowmemory, not "both"/,
    ],
    [{ OTEL_PROPAGATORS: 'b3' }, /OTEL_PROPAGATORS must name tracecontext, baggage, xray or none, not "b3"/],
  ])('the invalid variables %j are reported', (env, problem) => {
    expect(readOtelSettings({ ...ENDPOINT, ...env })?.problems.join('\n')).toMatch(problem);
  });

  it.each([
    [undefined, 'cumulative'],
    ['', 'cumulative'],
    ['Delta', 'delta'],
    ['lowmemory', 'delta'],
    ['both', 'cumulative'],
  ])('OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=%s means %s', (value, temporality) => {
    const env = { ...ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: value };
    expect(readOtelSettings(env)?.metrics?.temporality).toBe(temporality);
  });

  it('OTEL_PROPAGATORS selects the forms of the context', () => {
    expect([...(readOtelSettings(ENDPOINT)?.propagators ?? [])]).toEqual(['tracecontext', 'baggage']);
    const env = { ...ENDPOINT, OTEL_PROPAGATORS: 'xray, tracecontext' };
    expect([...(readOtelSettings(env)?.propagators ?? [])]).toEqual(['xray', 'tracecontext']);
    expect([usesXray(env), usesXray(ENDPOINT), usesXray({ OTEL_PROPAGATORS: 'xray' })]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('createSampler', () => {
  const low = `${'f'.repeat(18)}${'0'.repeat(14)}`;
  const high = `${'0'.repeat(18)}${'f'.repeat(14)}`;

  it.each([
    ['always_on', 0, [true, true, true]],
    ['always_off', 1, [false, false, false]],
    ['parentbased_always_on', 0, [true, false, true]],
    ['parentbased_always_off', 0, [true, false, false]],
    ['traceidratio', 0.5, [true, true, true]],
    ['parentbased_traceidratio', 0.5, [true, false, true]],
  ] as const)(
    'the sampler %s with %d decides for a recorded, an unrecorded and no parent',
    (name, ratio, expected) => {
      const sample = createSampler(name, ratio);
      expect([sample(low, true), sample(low, false), sample(low, undefined)]).toEqual(expected);
    },
  );

  it('a ratio depends on the random bits of the trace id alone', () => {
    const half = createSampler('traceidratio', 0.5);
    expect([half(low, undefined), half(high, undefined)]).toEqual([true, false]);
    expect([0, 1].map((ratio) => createSampler('traceidratio', ratio)(high, undefined))).toEqual([
      false,
      true,
    ]);
  });
});
