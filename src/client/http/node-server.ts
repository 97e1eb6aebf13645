import { createServer, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { MAX_UNADMITTED } from './connections.ts';
import { BACKLOG } from './open-server.ts';
import type { TlsMaterial } from './tls-files.ts';
import type { WatchedFiles } from './watched-files.ts';

/**
 * Limits for receiving a request; a slow sender occupies a connection. Responses may take any time.
 */
const MAX_HEAD_MS = 5_000;
const MAX_REQUEST_MS = 120_000;
const TIMEOUT_CHECK_INTERVAL_MS = 1_000;
/**
 * Longer than AWS load balancers (60 s): the side that reuses a connection must be the one that
 * closes it.
 */
const KEEP_ALIVE_MS = 65_000;
/**
 * TCP keepalive finds clients that vanished on a quiet stream, which would occupy --max-streams.
 * Sooner than AWS NAT gateways forget a connection (350 s).
 */
const KEEPALIVE_PROBE_MS = 60_000;

export interface NodeServerOptions {
  readonly maxHeaderBytes: number;
  readonly maxClients: number;
  /** Undefined: plain HTTP. */
  readonly tls?: WatchedFiles<TlsMaterial> | undefined;
}

/** The server of node:http, or of node:https whose certificate follows its files. */
export function createNodeServer({ maxHeaderBytes, maxClients, tls }: NodeServerOptions): Server {
  const options: ServerOptions = {
    maxHeaderSize: maxHeaderBytes,
    // Missing Host headers are rejected in `admissionRefusal`, so that they are reported.
    requireHostHeader: false,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: MAX_HEAD_MS,
    requestTimeout: MAX_REQUEST_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_INTERVAL_MS,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_PROBE_MS,
  };
  const server = tls ? createHttpsServer(options, tls) : createServer(options);
  // The total size is bounded; a count limit would silently drop headers.
  server.maxHeadersCount = 0;
  server.maxConnections = maxClients + MAX_UNADMITTED + BACKLOG;
  return server;
}

function createHttpsServer(options: ServerOptions, files: WatchedFiles<TlsMaterial>): Server {
  const server = createTlsServer({
    ...options,
    ...contextOf(files.value),
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: MAX_HEAD_MS,
    requestCert: files.value.ca !== undefined,
    rejectUnauthorized: true,
  });
  // Connections that are open keep the context of their handshake.
  files.onChange((material) => server.setSecureContext({ ...contextOf(material), minVersion: 'TLSv1.2' }));
  return server;
}

const contextOf = ({ cert, key, ca }: TlsMaterial) => ({ cert, key, ...(ca === undefined ? {} : { ca }) });
