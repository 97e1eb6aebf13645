import { causeText } from '../../core/errors/errors.ts';
import { Redactor } from '../../core/errors/redact.ts';
import type { CallRecord } from '../../core/pipeline/call-record.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Span } from '../../core/pipeline/span.ts';
import { outcomeOfRecord } from '../../core/pipeline/span-outcome.ts';
import type { Clock } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import type { Metrics } from '../metrics/catalog.ts';
import type { FinishedSpan } from './finished-span.ts';
import { type OtelSettings, readOtelSettings } from './otel-settings.ts';
import type { ConnectCollector } from './otlp-transport.ts';
import { RecentCalls } from './recent-calls.ts';
import { createSampler } from './sampler.ts';
import type { MetricSink, SpanSink } from './sdk.ts';
import { SpanDescriptions, type SpanServer } from './semantic-conventions.ts';
import { Tracer } from './tracer.ts';

/** The maximum number of spans that wait for the SDK: the size of its own queue. */
const MAX_PENDING_SPANS = 2_048;
/** The SDK is loaded this long after the first call has ended, because loading it blocks calls. */
const LOAD_AFTER_MS = 250;
/** The default of OTEL_METRIC_EXPORT_INTERVAL in the specification. */
const EXPORT_INTERVAL_MS = 60_000;

export interface TelemetryOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly endpoint: URL;
  readonly version: string;
  readonly events: Events;
  readonly clock: Clock;
  /** Loads what connects to the collector. */
  readonly loadConnect: () => Promise<ConnectCollector>;
}

export interface Telemetry {
  /** True where metrics are sent. */
  readonly sendsMetrics: boolean;
  /** Sends these metrics at an interval. Call it once, before the first call. */
  measure(read: () => Metrics): void;
  /** Sends what is left, within `ms` milliseconds. Never throws. */
  flush(ms: number): Promise<void>;
}

/**
 * Starts tracing if OTEL_* variables request it; undefined if they do not. Nothing of the SDK
 * is loaded before the first call has ended.
 */
export function startTelemetry(options: TelemetryOptions): Telemetry | undefined {
  const settings = readOtelSettings(options.env);
  if (!settings) return undefined;
  for (const message of settings.problems) options.events.emit({ type: 'telemetry.unusable', message });
  return settings.traces || settings.metrics ? new RunningTelemetry(settings, options) : undefined;
}

class RunningTelemetry implements Telemetry {
  readonly #options: TelemetryOptions;
  readonly #settings: OtelSettings;
  readonly #redactor = new Redactor();
  readonly #calls = new RecentCalls();
  #pending: FinishedSpan[] = [];
  #sink: SpanSink | undefined;
  #loading: Promise<void> | undefined;
  #loaded: Promise<void> | undefined;
  #metrics: (() => Metrics) | undefined;
  #metricSink: MetricSink | undefined;
  #sending: Promise<void> | undefined;
  readonly #since: number;
  /** Signals whose last export failed, so that a collector outage writes one log line. */
  readonly #failing = new Set<string>();

  constructor(settings: OtelSettings, options: TelemetryOptions) {
    this.#options = options;
    this.#settings = settings;
    this.#since = options.clock.now();
    const tracer = settings.traces && this.#createTracer();
    options.events.subscribe(
      (event) => {
        switch (event.type) {
          case 'secret.known':
            this.#redactor.learn(event.value, event);
            break;
          case 'call.begun':
            if (event.record.requestSpan?.isRecorded) this.#calls.add(event.record);
            break;
          case 'call.ended':
            // Not `record.span`, because a cancelled call ends before its call to the server does.
            if (event.record.requestSpan?.isRecorded) this.#end(event.record, event.record.requestSpan);
            this.#loadSoon();
            break;
          default:
        }
      },
      {
        detailed: false,
        beginSpan: tracer && ((options, headers) => tracer.begin(options, headers)),
        spanOf: (call) => this.#calls.spanOf(call),
        beginTrace: tracer && ((part) => tracer.beginOwn(part)),
        secrets: true,
      },
    );
  }

  #end(record: CallRecord, span: Span): void {
    span.end(outcomeOfRecord(record));
    this.#calls.end(record);
  }

  get sendsMetrics(): boolean {
    return this.#settings.metrics !== undefined;
  }

  measure(read: () => Metrics): void {
    this.#metrics = read;
  }

  #createTracer(): Tracer {
    const { clock, endpoint } = this.#options;
    const { propagators, sampler, ratio } = this.#settings;
    // The wall clock may be set while the process runs, and spans must not end before they begin.
    const offset = clock.now() - clock.monotonic();
    return new Tracer(
      {
        descriptions: new SpanDescriptions(serverOf(endpoint)),
        propagators,
        now: () => offset + clock.monotonic(),
        clean: (text) => this.#redactor.clean(text),
        onEnd: (span) => this.#take(span),
      },
      createSampler(sampler, ratio),
    );
  }

  #take(span: FinishedSpan): void {
    if (this.#sink) this.#sink.take(span);
    else if (this.#pending.length < MAX_PENDING_SPANS) this.#pending.push(span);
  }

  #loadSoon(): void {
    if (this.#loading) return;
    const { clock } = this.#options;
    this.#loading = new Promise<void>((resolve) => {
      clock.schedule(LOAD_AFTER_MS, () => resolve(), { keepAlive: false });
    }).then(() => this.#load());
  }

  /** Once, however many wait for it. */
  #load(): Promise<void> {
    this.#loaded ??= this.#loadSdk();
    return this.#loaded;
  }

  async #loadSdk(): Promise<void> {
    const { env, version, events, clock, loadConnect } = this.#options;
    const { traces, metrics } = this.#settings;
    try {
      const [sdk, connectCollector] = await Promise.all([import('./sdk.ts'), loadConnect()]);
      const print = (line: string): void => void process.stderr.write(`${this.#redactor.clean(line)}\n`);
      const options = { env, version, clock, print, connectCollector };
      if (traces)
        this.#sink = await sdk.createSpanSink(traces, options, (failure) => this.#report('traces', failure));
      for (const span of this.#pending.splice(0)) this.#sink?.take(span);
      if (metrics && this.#metrics) {
        this.#metricSink = await sdk.createMetricSink(metrics, options, this.#since, (failure) =>
          this.#report('metrics', failure),
        );
        this.#sendLater();
      }
    } catch (error) {
      events.emit({
        type: 'telemetry.unusable',
        message: `OpenTelemetry cannot be loaded: ${causeText(error)}`,
      });
    }
  }

  #sendLater(): void {
    const { clock, env } = this.#options;
    const given = Number(env.OTEL_METRIC_EXPORT_INTERVAL);
    const ms = Number.isInteger(given) && given > 0 ? given : EXPORT_INTERVAL_MS;
    clock.schedule(ms, () => void this.#send().then(() => this.#sendLater()), { keepAlive: false });
  }

  /** One export at a time. */
  #send(): Promise<void> {
    const { clock } = this.#options;
    const metrics = this.#metrics;
    if (!metrics) return Promise.resolve();
    this.#sending ??= (this.#metricSink?.send(metrics(), clock.now()) ?? Promise.resolve()).finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  #report(signal: 'traces' | 'metrics', failure: string | undefined): void {
    if (failure === undefined) {
      this.#failing.delete(signal);
      return;
    }
    if (this.#failing.has(signal)) return;
    this.#failing.add(signal);
    const message = `The ${signal} cannot be sent to the collector, and are lost until it takes them: ${failure}. Check OTEL_EXPORTER_OTLP_ENDPOINT. This is logged once until it works again`;
    this.#options.events.emit({ type: 'telemetry.export-failed', signal, message });
  }

  async flush(ms: number): Promise<void> {
    // Without a call there is nothing to send, and the SDK need not be loaded.
    if (!this.#loading) return;
    const flushed = this.#load().then(() => Promise.all([this.#sink?.shutdown(), this.#sendLast()]));
    await settleWithin(this.#options.clock, ms, flushed);
  }

  async #sendLast(): Promise<void> {
    await this.#sending;
    await this.#send();
    await this.#metricSink?.shutdown();
  }
}

/** The endpoint as spans name it: without query and login. */
function serverOf({ origin, pathname, protocol, hostname, port }: URL): SpanServer {
  const assumed = protocol === 'https:' ? 443 : 80;
  return { url: `${origin}${pathname}`, address: hostname, port: port === '' ? assumed : Number(port) };
}
