import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type ListenAddress, urlHost } from '../../core/http/listen-address.ts';
import type { Clock, Timer } from '../../core/time/clock.ts';
import { CONTENT_TYPES, formatOf } from '../metrics/exposition.ts';
import type { ProxyMetrics } from '../metrics/proxy-metrics.ts';
import { statusRefusal } from './admission.ts';
import { PAGE_HTML } from './page-html.ts';
import { PAGE_SCRIPT } from './page-script.ts';
import { PAGE_STYLE } from './page-style.ts';
import type { StatusReport } from './report.ts';

/** How often an open page gets new values. */
export const UPDATE_MS = 2_000;
/** Open pages; each costs a socket and a message per update. */
const MAX_VIEWERS = 16;
/** Connections to the status address: pages, scrapers and probes. */
const MAX_STATUS_CONNECTIONS = 64;
const MAX_HEADER_BYTES = 16 * 1024;

export interface StatusServerOptions {
  readonly address: ListenAddress;
  readonly token: string | undefined;
  readonly clock: Clock;
  readonly metrics: Pick<ProxyMetrics, 'toPrometheus'>;
  /** The content of the page. */
  readonly report: () => StatusReport;
  /** Renews what `metrics` and `report` read, which other processes have measured. */
  readonly refresh?: (() => Promise<void>) | undefined;
  /** Returns why requests would fail now, or undefined; must contain no secret. */
  readonly unreadyReason: () => Promise<string | undefined>;
}

/** The paths with measured values. */
const MEASURED_PATHS: ReadonlySet<string> = new Set(['/metrics', '/status.json', '/events']);

/** Nothing from elsewhere is loaded, run, framed or sent. */
const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const;

/** Serves the status page, metrics and probes. */
export class StatusServer {
  readonly #options: StatusServerOptions;
  readonly #server: Server;
  readonly #viewers = new Set<ServerResponse>();
  #timer: Timer | undefined;

  private constructor(options: StatusServerOptions) {
    this.#options = options;
    this.#server = createServer(
      { maxHeaderSize: MAX_HEADER_BYTES, requireHostHeader: false, requestTimeout: 10_000 },
      (request, response) => this.#serve(request, response),
    );
    this.#server.maxConnections = MAX_STATUS_CONNECTIONS;
  }

  /** @throws the error of the operating system, where the address cannot be listened on. */
  static async open(options: StatusServerOptions): Promise<StatusServer> {
    const status = new StatusServer(options);
    const { host, port } = options.address;
    await new Promise<void>((resolve, reject) => {
      status.#server.once('error', reject);
      status.#server.listen(port, host, () => {
        status.#server.off('error', reject);
        resolve();
      });
    });
    status.#server.on('error', () => undefined);
    // An observer does not keep the process alive.
    status.#server.unref();
    return status;
  }

  get url(): string {
    const address = this.#server.address();
    const { host } = this.#options.address;
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    return `http://${urlHost(host)}:${port}/`;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    response.on('error', () => undefined);
    request.on('error', () => undefined);
    request.resume();
    const { token, address } = this.#options;
    const path = request.url?.split('?', 1)[0] ?? '';
    const { method = '', headers } = request;
    if (path === '/healthz' || path === '/readyz') {
      void this.#probe(path, response);
      return;
    }
    const refusal = statusRefusal(method, headers, { allowedHosts: [urlHost(address.host)], token });
    if (refusal) {
      this.#send(response, refusal.status, 'text/plain', `${refusal.message}\n`, refusal.headers);
      return;
    }
    const { refresh } = this.#options;
    const answer = (): void => this.#answer(path, headers.accept, request, response);
    if (refresh && MEASURED_PATHS.has(path)) void refresh().then(answer);
    else answer();
  }

  #answer(
    path: string,
    accept: string | undefined,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    switch (path) {
      case '/':
        this.#send(response, 200, 'text/html; charset=utf-8', PAGE_HTML);
        break;
      case '/favicon.ico':
        this.#send(response, 204, 'image/x-icon', '');
        break;
      case '/status.css':
        this.#send(response, 200, 'text/css; charset=utf-8', PAGE_STYLE);
        break;
      case '/status.js':
        this.#send(response, 200, 'text/javascript; charset=utf-8', PAGE_SCRIPT);
        break;
      case '/status.json':
        this.#send(response, 200, 'application/json', `${JSON.stringify(this.#options.report())}\n`);
        break;
      case '/events':
        this.#addViewer(request, response);
        break;
      case '/metrics': {
        const format = formatOf(accept);
        this.#send(response, 200, CONTENT_TYPES[format], this.#options.metrics.toPrometheus(format));
        break;
      }
      default:
        this.#send(
          response,
          404,
          'text/plain',
          'There is nothing here: see / , /metrics and /status.json.\n',
        );
    }
  }

  async #probe(path: string, response: ServerResponse): Promise<void> {
    const problem = path === '/healthz' ? undefined : await this.#options.unreadyReason();
    this.#send(response, problem === undefined ? 200 : 503, 'text/plain', `${problem ?? 'ok'}\n`);
  }

  #send(
    response: ServerResponse,
    status: number,
    type: string,
    text: string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    const body = Buffer.from(text);
    response.writeHead(status, {
      ...SECURITY_HEADERS,
      'content-type': type,
      'content-length': body.length,
      ...headers,
    });
    response.end(body);
  }

  #addViewer(request: IncomingMessage, response: ServerResponse): void {
    if (this.#viewers.size >= MAX_VIEWERS) {
      this.#send(response, 503, 'text/plain', `${MAX_VIEWERS} pages are open.\n`, { 'retry-after': '10' });
      return;
    }
    response.writeHead(200, { ...SECURITY_HEADERS, 'content-type': 'text/event-stream' });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    this.#viewers.add(response);
    response.on('close', () => {
      this.#viewers.delete(response);
      if (this.#viewers.size === 0) this.#stopUpdates();
    });
    response.write(`retry: ${UPDATE_MS}\n${eventOf(this.#options.report())}`);
    this.#scheduleUpdate();
  }

  #scheduleUpdate(): void {
    const update = (): void => {
      const { refresh } = this.#options;
      if (refresh) void refresh().then(() => this.#update());
      else this.#update();
    };
    this.#timer ??= this.#options.clock.schedule(UPDATE_MS, update, { keepAlive: false });
  }

  #stopUpdates(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #update(): void {
    this.#timer = undefined;
    if (this.#viewers.size === 0) return;
    const event = eventOf(this.#options.report());
    // A page that does not read gets no more until it has read.
    for (const viewer of this.#viewers) if (!viewer.writableNeedDrain) viewer.write(event);
    this.#scheduleUpdate();
  }

  /** Never throws. */
  async close(): Promise<void> {
    this.#stopUpdates();
    for (const viewer of this.#viewers) viewer.end();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

const eventOf = (report: StatusReport): string => `data: ${JSON.stringify(report)}\n\n`;
