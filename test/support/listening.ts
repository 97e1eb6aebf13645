import { BinDriver } from './bin-driver.ts';
import { type HttpAnswer, type HttpQuestion, send } from './http-client.ts';
import { SessionServer, type SessionServerOptions } from './mcp-behaviours.ts';
import type { RelayedOptions } from './relayed.ts';
import { type Behaviour, ScriptedServer } from './scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from './signing.ts';

export interface ListeningOptions
  extends Pick<
    RelayedOptions,
    'args' | 'signing' | 'env' | 'files' | 'verify' | 'movableClock' | 'keepAliveTimeoutMs' | 'before'
  > {
  /** The server behind; a session server where none is given. */
  readonly behaviour?: Behaviour;
  /** How the session server behaves. */
  readonly session?: SessionServerOptions;
  readonly listen?: string;
  /** A program to run in place of Node and the bin. */
  readonly program?: string | undefined;
}

/** The listener of the spawned bin. */
export interface Listening {
  readonly bin: BinDriver;
  /** Where MCP is served. */
  readonly url: string;
  /** A POST with this body, or any other request, to `url`. */
  ask(question: HttpQuestion): Promise<HttpAnswer>;
}

/** Where the bin listens, as its log says at info. */
export async function listenerUrl(bin: BinDriver): Promise<string> {
  await bin.stderrMatching(/"listener\.opened".*\n/);
  const line = bin.stderr.split('\n').find((text) => text.includes('"listener.opened"')) ?? '{}';
  return (JSON.parse(line) as { url: string }).url;
}

/** The spawned bin with --listen on a free port, in front of an address. */
export async function startListener(
  endpoint: string,
  {
    args = [],
    signing = signingArgs,
    env = {},
    files = {},
    listen = '127.0.0.1:0',
    movableClock = false,
    program,
  }: ListeningOptions = {},
): Promise<Listening> {
  const bin = BinDriver.start({
    args: [endpoint, ...signing, '--listen', listen, '--log-level', 'info', ...args],
    env: { ...signingEnv, ...env },
    files,
    movableClock,
    ...(program === undefined ? {} : { program }),
  });
  const url = await listenerUrl(bin);
  return { bin, url, ask: (question) => send(url, question) };
}

export interface ListeningBefore extends Listening {
  readonly server: ScriptedServer;
  readonly mcp: SessionServer;
}

/** The same in front of a scripted server that verifies every signature. */
export async function startListening(options: ListeningOptions = {}): Promise<ListeningBefore> {
  const { verify = signingVerify, keepAliveTimeoutMs, before } = options;
  const mcp = new SessionServer(options.session);
  const behaviour = options.behaviour ?? mcp.behaviour;
  const server = await ScriptedServer.start(before ? before(behaviour) : behaviour, {
    ...(verify === false ? {} : { verify }),
    ...(keepAliveTimeoutMs === undefined ? {} : { keepAliveTimeoutMs }),
  });
  return { ...(await startListener(server.url, options)), server, mcp };
}

/** A session as an HTTP client opens it; gives the headers of what follows. */
export async function openSession(ask: Listening['ask'], id: unknown = 0): Promise<Record<string, string>> {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'raw-client', version: '0.0.0' },
  };
  const opened = await ask({ body: { jsonrpc: '2.0', id, method: 'initialize', params } });
  const session = opened.headers['mcp-session-id'];
  const headers = {
    ...(typeof session === 'string' ? { 'mcp-session-id': session } : {}),
    'mcp-protocol-version': '2025-11-25',
  };
  await ask({ headers, body: { jsonrpc: '2.0', method: 'notifications/initialized' } });
  return headers;
}
