import type { CallRecord } from '../../core/pipeline/call-record.ts';
import type { ExchangeMeter } from '../../core/pipeline/exchange-meter.ts';
import type { Metrics } from './catalog.ts';
import type { Counter, Histogram } from './families.ts';
import type { Wait } from './initial-series.ts';
import { errorTypeOf, methodLabel, OTHER, profileLabel } from './labels.ts';

type Transport = CallRecord['transport'];

const TRANSPORT_LABEL: Readonly<Record<Transport, string>> = { stdio: 'pipe', http: 'tcp' };

/** By the first digit of the status. */
const STATUS_CLASSES = ['', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** The series of successful calls of one method and tool. */
interface SuccessSeries {
  readonly calls: Counter;
  readonly serverOperation: Histogram;
  /** Created by the first call that was sent. */
  clientOperation: Histogram | undefined;
}

/**
 * The series that every call of a profile adds to. Each is looked up once: a look-up by label
 * values for each event would cost a call more than its counting.
 */
export class ProfileSeries implements ExchangeMeter {
  /** The label of the profile. */
  readonly label: string;
  readonly #httpBytesOut: Counter;
  readonly #httpBytesIn: Counter;
  readonly #signatures: Counter;
  readonly #httpFailures: Counter;
  readonly #metrics: Metrics;
  readonly #serverDuration: Histogram;
  readonly #clientBytesIn: Counter;
  readonly #clientBytesOut: Counter;
  readonly #waits: Readonly<Record<Wait, Histogram>>;
  readonly #responses: (Counter | undefined)[] = STATUS_CLASSES.map(() => undefined);
  /** By HTTP method, then by lane. */
  readonly #requests = new Map<string, Map<string, Counter>>();
  /** By method, then by the label of the tool. */
  readonly #successes: Readonly<Record<Transport, Map<string, Map<string, SuccessSeries>>>> = {
    stdio: new Map(),
    http: new Map(),
  };

  constructor(metrics: Metrics, profile: string) {
    const label = profileLabel(profile);
    this.label = label;
    this.#metrics = metrics;
    this.#httpBytesOut = metrics.httpBytes.of(label, 'out');
    this.#httpBytesIn = metrics.httpBytes.of(label, 'in');
    this.#signatures = metrics.signatures.of(label);
    this.#httpFailures = metrics.httpFailures.of(label);
    this.#serverDuration = metrics.serverDuration.of(label);
    const waitOf = (wait: Wait): Histogram => metrics.callWait.of(label, wait);
    this.#waits = {
      queue: waitOf('queue'),
      rate: waitOf('rate'),
      session: waitOf('session'),
      connection: waitOf('connection'),
      credentials: waitOf('credentials'),
      backoff: waitOf('backoff'),
    };
    this.#clientBytesIn = metrics.clientBytes.of(label, 'in');
    this.#clientBytesOut = metrics.clientBytes.of(label, 'out');
  }

  sent(method: string, lane: string, bytes: number, isSigned: boolean): void {
    this.#httpRequests(method, lane).value++;
    this.#httpBytesOut.value += bytes;
    if (isSigned) this.#signatures.value++;
  }

  ended(status: number | undefined, bytes: number, isFailure: boolean): void {
    this.#httpBytesIn.value += bytes;
    if (status !== undefined) this.#httpResponses(status).value++;
    if (isFailure) this.#httpFailures.value++;
  }

  /** HTTP requests of a method and lane. */
  #httpRequests(method: string, lane: string): Counter {
    const lanes = foundOrAdded(this.#requests, method, () => new Map<string, Counter>());
    return foundOrAdded(lanes, lane, () => this.#metrics.httpRequests.of(this.label, method, lane));
  }

  /** HTTP responses of the class of a status. */
  #httpResponses(status: number): Counter {
    const digit = Math.trunc(status / 100);
    let found = this.#responses[digit];
    if (!found) {
      found = this.#metrics.httpResponses.of(this.label, STATUS_CLASSES[digit] || OTHER);
      if (digit < STATUS_CLASSES.length) this.#responses[digit] = found;
    }
    return found;
  }

  /** Counts the waits of a call that has waited. */
  countWaits(record: CallRecord): void {
    // Not in a loop over names: a field found by a variable name costs a look-up.
    this.#countWait('queue', record.queueMs);
    this.#countWait('rate', record.rateMs);
    this.#countWait('session', record.sessionMs);
    this.#countWait('connection', record.connectionMs);
    this.#countWait('credentials', record.credentialsMs);
    this.#countWait('backoff', record.backoffMs);
  }

  #countWait(wait: Wait, ms: number): void {
    if (ms > 0) this.#waits[wait].observe(ms / 1_000);
  }

  /** Counts a call, its durations and its bytes. @param tool - the label of its tool. */
  countCall(record: CallRecord, tool: string): void {
    this.#clientBytesIn.value += record.requestBytes;
    this.#clientBytesOut.value += record.responseBytes;
    if (record.attempts > 0) this.#serverDuration.observe(record.serverMs / 1_000);
    if (record.outcome === 'ok') this.#countSuccess(record, tool);
    else this.#countOther(record, tool);
  }

  #countSuccess({ method, transport, ms, attempts, upstreamMs }: CallRecord, tool: string): void {
    const named = methodLabel(method);
    const tools = foundOrAdded(this.#successes[transport], named, () => new Map<string, SuccessSeries>());
    const series = foundOrAdded(tools, tool, () => this.#createSuccess(named, tool, transport));
    series.calls.value++;
    series.serverOperation.observe(ms / 1_000);
    if (attempts === 0) return;
    series.clientOperation ??= this.#metrics.clientOperation.of(this.label, named, tool, '');
    series.clientOperation.observe(upstreamMs / 1_000);
  }

  #createSuccess(method: string, tool: string, transport: Transport): SuccessSeries {
    const { calls, serverOperation } = this.#metrics;
    return {
      calls: calls.of(this.label, method, tool, 'ok'),
      serverOperation: serverOperation.of(this.label, method, TRANSPORT_LABEL[transport], ''),
      clientOperation: undefined,
    };
  }

  #countOther(record: CallRecord, tool: string): void {
    const { calls, callErrors, serverOperation, clientOperation } = this.#metrics;
    const { outcome, reason, transport, ms, attempts, upstreamMs } = record;
    const { label } = this;
    const method = methodLabel(record.method);
    const error = errorTypeOf(record);
    calls.of(label, method, tool, outcome).add();
    if (outcome === 'error') callErrors.of(label, reason ?? 'internal').add();
    serverOperation.of(label, method, TRANSPORT_LABEL[transport], error).observe(ms / 1_000);
    if (attempts > 0) clientOperation.of(label, method, tool, error).observe(upstreamMs / 1_000);
  }
}

function foundOrAdded<T>(map: Map<string, T>, key: string, create: () => T): T {
  const found = map.get(key);
  if (found !== undefined) return found;
  const added = create();
  map.set(key, added);
  return added;
}
