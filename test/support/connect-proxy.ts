import * as http from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterThisTest } from './cleanup.ts';
import { Connections, listenOnLoopback, shut } from './connections.ts';

export interface Tunnel {
  /** `host:port` as the client requested it. */
  readonly authority: string;
  readonly proxyAuthorization: string | undefined;
  /** The status that the proxy answered. */
  readonly status: number;
}

export interface ConnectProxyOptions {
  /** Without exactly these the answer is 407. */
  readonly credentials?: { readonly user: string; readonly password: string };
  /** Answers every CONNECT with this status. */
  readonly refuseWith?: number;
  /** Host name to loopback host, or `host:port` where the port is another as well. */
  readonly hosts?: Readonly<Record<string, string>>;
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * An HTTP CONNECT proxy on loopback. It connects to loopback only, so that no test can reach the
 * world through it.
 */
export class ConnectProxy {
  /** Every CONNECT, refused ones included. */
  readonly tunnels: Tunnel[] = [];
  /** Requests that came without CONNECT, as `METHOD url`. They are answered 501. */
  readonly plainRequests: string[] = [];
  readonly connections: Connections;
  readonly port: number;
  /** Without credentials. */
  readonly url: string;
  readonly #server: http.Server;
  readonly #options: ConnectProxyOptions;
  readonly #outgoing = new Set<Socket>();

  private constructor(
    server: http.Server,
    connections: Connections,
    port: number,
    options: ConnectProxyOptions,
  ) {
    this.#server = server;
    this.#options = options;
    this.connections = connections;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    server.on('connect', (request: http.IncomingMessage, socket: Socket, head: Buffer) =>
      this.#connect(request, socket, head),
    );
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      this.plainRequests.push(`${request.method} ${request.url}`);
      response.writeHead(501).end();
    });
  }

  static async start(options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
    const server = http.createServer();
    const connections = new Connections(server);
    const proxy = new ConnectProxy(server, connections, await listenOnLoopback(server), options);
    afterThisTest(() => proxy.close());
    return proxy;
  }

  /** The tunnels that were opened. */
  get opened(): readonly Tunnel[] {
    return this.tunnels.filter((tunnel) => tunnel.status === 200);
  }

  async close(): Promise<void> {
    for (const socket of this.#outgoing) socket.destroy();
    await shut(this.#server, this.connections);
  }

  #connect(request: http.IncomingMessage, socket: Socket, head: Buffer): void {
    const authority = request.url ?? '';
    const proxyAuthorization = request.headers['proxy-authorization'];
    const colon = authority.lastIndexOf(':');
    const name = authority.slice(0, colon);
    const mapped = this.#options.hosts?.[name] ?? name;
    const [host = '', port = authority.slice(colon + 1)] = mapped === '[::1]' ? ['::1'] : mapped.split(':');
    const status = this.#verdict(proxyAuthorization, host);
    this.tunnels.push({ authority, proxyAuthorization, status });
    if (status !== 200) {
      const challenge = status === 407 ? 'Proxy-Authenticate: Basic realm="test"\r\n' : '';
      socket.end(
        `HTTP/1.1 ${status} ${http.STATUS_CODES[status] ?? 'Refused'}\r\n${challenge}Content-Length: 0\r\n\r\n`,
      );
      return;
    }
    const outgoing = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      outgoing.write(head);
      outgoing.pipe(socket).pipe(outgoing);
    });
    this.#outgoing.add(outgoing);
    outgoing.on('error', () => socket.destroy());
    outgoing.on('close', () => {
      this.#outgoing.delete(outgoing);
      socket.destroy();
    });
    socket.on('close', () => outgoing.destroy());
  }

  #verdict(proxyAuthorization: string | undefined, host: string): number {
    const { credentials, refuseWith } = this.#options;
    if (credentials) {
      const basic = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64');
      if (proxyAuthorization !== `Basic ${basic}`) return 407;
    }
    return refuseWith ?? (LOOPBACK.has(host) || host === '::1' ? 200 : 403);
  }
}
