import { STATUS_CODES } from 'node:http';
import type { SecureContextOptions } from 'node:tls';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type IExporterTransport, OTLPExporterError } from '@opentelemetry/otlp-exporter-base';
import { toError } from '../../core/errors/errors.ts';
import { retryAfterOf } from '../../core/pipeline/retry-after.ts';
import type { Clock } from '../../core/time/clock.ts';
import { sleep } from '../../core/time/waits.ts';

/** One HTTP connection to a collector. */
export interface Collector {
  /** @throws the cause, where there was no whole answer in time. */
  post(request: CollectorRequest): Promise<CollectorAnswer>;
  close(): void;
}

export interface CollectorRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
}

export interface CollectorAnswer {
  readonly status: number;
  /** "" without one. */
  readonly retryAfter: string;
  readonly body: Uint8Array;
}

/** Creates the connection to the collector at an origin. */
export type ConnectCollector = (
  address: { readonly origin: string; readonly tls: SecureContextOptions },
  clock: Clock,
) => Collector;

export interface OtlpTransportOptions {
  readonly collector: Collector;
  readonly path: string;
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
  readonly compresses: boolean;
  readonly clock: Clock;
}

type ExportResponse = Awaited<ReturnType<IExporterTransport['send']>>;

// As the SDK's own transport retries.
const MAX_RETRIES = 5;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 5_000;
const BACKOFF_FACTOR = 1.5;
const JITTER = 0.2;

/** The statuses after which OTLP permits another attempt. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** No connection, or one that was lost: the last two are those of undici. */
const RETRYABLE_CODES: ReadonlySet<unknown> = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENOTFOUND',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'UND_ERR_SOCKET',
]);

const compress = promisify(gzip);

/**
 * Sends exports on a connection like those of calls. The SDK's own transport uses Node's HTTP
 * client, whose sockets have other hidden classes: it makes Node's stream functions slower for the
 * whole process, which costs each call 5 to 10 % of its time.
 */
export class OtlpTransport implements IExporterTransport {
  readonly #options: OtlpTransportOptions;

  constructor(options: OtlpTransportOptions) {
    this.#options = options;
  }

  async send(data: Uint8Array, timeoutMillis: number): Promise<ExportResponse> {
    const { clock, compresses } = this.#options;
    const deadline = clock.monotonic() + timeoutMillis;
    const body = compresses ? await compress(data) : data;
    for (let retries = 0; ; retries++) {
      const response = await this.#attempt(body, deadline - clock.monotonic());
      if (response.status !== 'retryable' || retries === MAX_RETRIES) return response;
      const waitMs = response.retryInMillis ?? backoffMs(clock, retries);
      if (clock.monotonic() + waitMs >= deadline) return response;
      await sleep(clock, waitMs);
    }
  }

  async #attempt(body: Uint8Array, timeoutMs: number): Promise<ExportResponse> {
    const { collector, path, headers: given, compresses, clock } = this.#options;
    let answer: CollectorAnswer;
    try {
      const headers = { ...(await given()), ...(compresses ? { 'Content-Encoding': 'gzip' } : {}) };
      answer = await collector.post({ path, headers, body, timeoutMs });
    } catch (thrown) {
      const error = toError(thrown);
      const { code } = error as { code?: unknown };
      return { status: RETRYABLE_CODES.has(code) ? 'retryable' : 'failure', error };
    }
    const { status } = answer;
    if (status < 300) return { status: 'success', data: answer.body };
    const error = new OTLPExporterError(STATUS_CODES[status], status, Buffer.from(answer.body).toString());
    if (!RETRYABLE.has(status)) return { status: 'failure', error };
    const retryInMillis = retryAfterOf({ 'retry-after': answer.retryAfter }, clock.now());
    return { status: 'retryable', error, ...(retryInMillis === undefined ? {} : { retryInMillis }) };
  }

  shutdown(): void {
    this.#options.collector.close();
  }
}

/** @param retries - 0 for the first wait. */
function backoffMs(clock: Clock, retries: number): number {
  const jitter = 1 + JITTER * (2 * clock.random() - 1);
  return Math.min(FIRST_BACKOFF_MS * BACKOFF_FACTOR ** retries * jitter, MAX_BACKOFF_MS);
}
