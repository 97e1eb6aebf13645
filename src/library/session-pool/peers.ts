import { SessionPoolError } from './errors.ts';
import type { PoolClient, PoolTransport } from './session.ts';

type Load = (name: string) => Promise<Readonly<Record<string, unknown>>>;

interface PeerNames {
  readonly client: string;
  readonly transport: string;
}

/** Both generations of the SDK. The newer one is preferred. */
const PEERS: readonly PeerNames[] = [
  { client: '@modelcontextprotocol/client', transport: '@modelcontextprotocol/client' },
  {
    client: '@modelcontextprotocol/sdk/client/index.js',
    transport: '@modelcontextprotocol/sdk/client/streamableHttp.js',
  },
];

// A variable, so that the bundle does not contain the package.
const loadPackage: Load = (name) => import(name);

const isMissing = (error: unknown): boolean =>
  /^(ERR_MODULE_NOT_FOUND|MODULE_NOT_FOUND|ERR_PACKAGE_PATH_NOT_EXPORTED)$/.test(
    String((error as { code?: unknown } | null)?.code),
  );

const isClass = (value: unknown, methods: readonly string[]): value is new (...args: unknown[]) => object =>
  typeof value === 'function' &&
  methods.every(
    (name) => typeof (value as { prototype?: Record<string, unknown> }).prototype?.[name] === 'function',
  );

/**
 * Loads a class of the SDK that is installed.
 * @throws SessionPoolError missing-peer
 */
async function loadClass(
  kind: keyof PeerNames,
  { field, name, methods }: { field: string; name: string; methods: readonly string[] },
  load: Load,
): Promise<new (...args: unknown[]) => object> {
  const unusable: string[] = [];
  for (const peer of PEERS) {
    try {
      const found = (await load(peer[kind]))[name];
      if (isClass(found, methods)) return found;
      unusable.push(peer[kind]);
    } catch (error) {
      if (!isMissing(error)) unusable.push(peer[kind]);
    }
  }
  const reason =
    unusable.length > 0
      ? `The installed ${unusable.join(' and ')} has no usable ${name}: another major version may be installed.`
      : 'No MCP SDK is installed.';
  throw new SessionPoolError(
    'missing-peer',
    field,
    `${reason} Install @modelcontextprotocol/client (2.x) or @modelcontextprotocol/sdk (1.x), or set ${field}.`,
  );
}

const CLIENT_INFO = { name: 'mcp-sigv4-proxy', version: '1.0.0' };

/** A factory of clients of the SDK that is installed. */
export async function loadClientFactory(load: Load = loadPackage): Promise<() => PoolClient> {
  const methods = ['connect', 'close', 'callTool', 'listTools'];
  const Client = await loadClass('client', { field: 'clientFactory', name: 'Client', methods }, load);
  return () => new Client(CLIENT_INFO) as PoolClient;
}

/** A factory of transports of the SDK that send requests with this `fetch`. */
export async function loadTransportFactory(
  load: Load = loadPackage,
): Promise<(endpoint: string, fetch: typeof globalThis.fetch) => PoolTransport> {
  const name = 'StreamableHTTPClientTransport';
  const methods = ['start', 'send', 'close'];
  const Transport = await loadClass('transport', { field: 'transportFactory', name, methods }, load);
  return (endpoint, fetch) => new Transport(new URL(endpoint), { fetch }) as PoolTransport;
}
