import * as http from 'node:http';
import { gunzipSync } from 'node:zlib';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';
import { readBody } from './scripted-server.ts';

export interface PublishedDatum {
  readonly MetricName: string;
  readonly Unit: string;
  readonly Dimensions: readonly { readonly Name: string; readonly Value: string }[];
  readonly Value?: number;
  readonly Values?: readonly number[];
  readonly Counts?: readonly number[];
}

/** An error as CloudWatch answers it. */
export interface CloudWatchError {
  readonly status: number;
  readonly type: string;
  readonly message: string;
}

/** PutMetricData on loopback, as AWS_ENDPOINT_URL_CLOUDWATCH names it. */
export class CloudWatchStandIn {
  readonly url: string;
  readonly requests: { readonly headers: http.IncomingHttpHeaders; readonly namespace: string }[] = [];
  readonly data: PublishedDatum[] = [];
  error: CloudWatchError | undefined;

  private constructor(server: http.Server, port: number) {
    this.url = `http://127.0.0.1:${port}`;
    server.on('request', (request, response) => void this.#receive(request, response));
  }

  static async start(): Promise<CloudWatchStandIn> {
    const server = http.createServer();
    const connections = new Connections(server);
    const standIn = new CloudWatchStandIn(server, await listenOnLoopback(server));
    afterThisTest(() => shut(server, connections));
    return standIn;
  }

  get env(): Record<string, string> {
    return { AWS_ENDPOINT_URL_CLOUDWATCH: this.url };
  }

  /** The sum of a metric over all publications whose dimensions include these. */
  sumOf(name: string, dimensions: Readonly<Record<string, string>> = {}): number {
    return this.data
      .filter(({ MetricName, Dimensions }) => {
        const own = Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, Value]));
        return MetricName === name && Object.entries(dimensions).every(([key, value]) => own[key] === value);
      })
      .reduce((sum, { Value, Counts = [] }) => sum + (Value ?? Counts.reduce((all, one) => all + one, 0)), 0);
  }

  async #receive(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const body = await readBody(request);
    const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    const { Namespace: namespace, MetricData = [] } = JSON.parse(text.toString('utf8'));
    this.requests.push({ headers: request.headers, namespace });
    const type = { 'content-type': 'application/x-amz-json-1.0' };
    if (this.error) {
      const { status, type: errorType, message } = this.error;
      response.writeHead(status, type).end(JSON.stringify({ __type: errorType, message }));
      return;
    }
    this.data.push(...MetricData);
    response.writeHead(200, type).end('{}');
  }
}
