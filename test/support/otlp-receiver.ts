import * as http from 'node:http';
import { gunzipSync } from 'node:zlib';
import protobuf from 'protobufjs';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';
import { OTLP_SCHEMA } from './otlp-schema.ts';
import { readBody } from './scripted-server.ts';

const SCHEMA = protobuf.parse(OTLP_SCHEMA).root;

type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for a root. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number;
  readonly ms: number;
  readonly attributes: Attributes;
  readonly status: { readonly code: number; readonly message: string };
}

export interface ReceivedPoint {
  readonly name: string;
  readonly unit: string;
  readonly kind: 'sum' | 'gauge' | 'histogram';
  readonly attributes: Attributes;
  /** The count of a histogram. */
  readonly value: number;
  readonly bounds: readonly number[];
  readonly sum: number;
  /** 1: delta, 2: cumulative; undefined for a gauge. */
  readonly temporality: number | undefined;
}

/** How the receiver treats an export. A promise: it accepts it when that resolves. */
export type Reception = 'accept' | 'hang' | number | Promise<unknown>;

interface RawValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string | number;
  readonly doubleValue?: number;
}
interface RawKeyValue {
  readonly key: string;
  readonly value: RawValue;
}
// biome-ignore lint/suspicious/noExplicitAny: decoded JSON of a public format
type Raw = any;

const toValue = ({ stringValue, boolValue, intValue, doubleValue }: RawValue): string | number | boolean =>
  stringValue ?? boolValue ?? doubleValue ?? Number(intValue);

const toAttributes = (list: readonly RawKeyValue[] = []): Attributes =>
  Object.fromEntries(list.map(({ key, value }) => [key, toValue(value)]));

/** An OTLP collector on loopback that decodes protobuf and JSON. */
export class OtlpReceiver {
  readonly url: string;
  reception: Reception = 'accept';
  /** The content types of all requests. */
  readonly contentTypes: string[] = [];
  readonly headers: http.IncomingHttpHeaders[] = [];
  readonly spans: ReceivedSpan[] = [];
  resource: Attributes = {};
  /** The processes that have exported spans. */
  readonly instances = new Set<unknown>();
  /** The points of the last export of metrics. */
  points: readonly ReceivedPoint[] = [];
  /** The points of all exports of metrics. */
  readonly allPoints: ReceivedPoint[] = [];

  private constructor(server: http.Server, port: number) {
    this.url = `http://127.0.0.1:${port}`;
    server.on('request', (request, response) => void this.#receive(request, response));
  }

  static async start(): Promise<OtlpReceiver> {
    const server = http.createServer();
    const connections = new Connections(server);
    const receiver = new OtlpReceiver(server, await listenOnLoopback(server));
    afterThisTest(() => shut(server, connections));
    return receiver;
  }

  /** The variables that send everything here. */
  get env(): Record<string, string> {
    return { OTEL_EXPORTER_OTLP_ENDPOINT: this.url };
  }

  /** The spans of one trace. */
  ofTrace(traceId: string): readonly ReceivedSpan[] {
    return this.spans.filter((span) => span.traceId === traceId);
  }

  childrenOf({ spanId }: ReceivedSpan): readonly ReceivedSpan[] {
    return this.spans.filter(({ parentSpanId }) => parentSpanId === spanId);
  }

  async #receive(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readBody(request);
    this.headers.push(request.headers);
    if (this.reception === 'hang') return;
    if (this.reception instanceof Promise) await this.reception;
    if (typeof this.reception === 'number') {
      response.writeHead(this.reception).end('no');
      return;
    }
    const type = request.headers['content-type'] ?? '';
    this.contentTypes.push(type);
    const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    const isTraces = request.url === '/v1/traces';
    const json = type.includes('json')
      ? JSON.parse(bytes.toString('utf8'))
      : decodeOtlp(isTraces ? 'otlp.TraceRequest' : 'otlp.MetricsRequest', bytes);
    if (isTraces) this.#takeTraces(json);
    else this.#takeMetrics(json);
    response.writeHead(200, { 'content-type': type }).end(type.includes('json') ? '{}' : '');
  }

  #takeTraces({ resourceSpans }: Raw): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      this.resource = toAttributes(resource.attributes);
      this.instances.add(this.resource['service.instance.id']);
      for (const { spans } of scopeSpans) this.spans.push(...spans.map(toSpan));
    }
  }

  #takeMetrics({ resourceMetrics }: Raw): void {
    this.points = resourceMetrics.flatMap(({ scopeMetrics }: Raw) =>
      scopeMetrics.flatMap(({ metrics }: Raw) => metrics.flatMap(toPoints)),
    );
    this.allPoints.push(...this.points);
  }
}

/** Ids as hexadecimal text, as JSON has them. */
export function decodeOtlp(type: string, bytes: Uint8Array): Raw {
  const message = SCHEMA.lookupType(type);
  return JSON.parse(
    JSON.stringify(
      message.toObject(message.decode(bytes), { longs: String, bytes: Buffer }),
      (_key, value) => (value?.type === 'Buffer' ? Buffer.from(value.data).toString('hex') : value),
    ),
  );
}

const toSpan = (raw: Raw): ReceivedSpan => ({
  traceId: raw.traceId,
  spanId: raw.spanId,
  parentSpanId: raw.parentSpanId ?? '',
  traceState: raw.traceState ?? '',
  name: raw.name,
  kind: raw.kind,
  ms: Number(BigInt(raw.endTimeUnixNano) - BigInt(raw.startTimeUnixNano)) / 1e6,
  attributes: toAttributes(raw.attributes),
  status: { code: raw.status?.code ?? 0, message: raw.status?.message ?? '' },
});

function toPoints({ name, unit = '', sum, gauge, histogram }: Raw): ReceivedPoint[] {
  const kind = sum ? 'sum' : gauge ? 'gauge' : 'histogram';
  return ((sum ?? gauge ?? histogram).dataPoints ?? []).map((point: Raw) => ({
    name,
    unit,
    kind,
    attributes: toAttributes(point.attributes),
    value: Number(point.asDouble ?? point.asInt ?? point.count ?? 0),
    bounds: point.explicitBounds ?? [],
    sum: point.sum ?? 0,
    temporality: (sum ?? histogram)?.aggregationTemporality,
  }));
}
