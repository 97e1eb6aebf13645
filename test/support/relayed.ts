import { BinDriver } from './bin-driver.ts';
import { SessionServer, type SessionServerOptions } from './mcp-behaviours.ts';
import { type Behaviour, ScriptedServer, type VerifyOptions } from './scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from './signing.ts';

export interface RelayedOptions extends SessionServerOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  /** Stands before the session server: answers what it wants itself, and hands over the rest. */
  readonly before?: (next: Behaviour) => Behaviour;
  /** false = a server that looks at no signature. */
  readonly verify?: VerifyOptions | false;
  /** The flags of the signature; absent: `signingArgs`. */
  readonly signing?: readonly string[];
  /** false = no credentials anywhere. */
  readonly credentials?: false;
  /** Set where the bin is killed in the middle of a line. */
  readonly anyStdout?: boolean;
  /** Set where the test moves the clock of the bin. */
  readonly movableClock?: boolean;
  /** True: the bin starts in its HOME. */
  readonly cwdIsHome?: boolean;
  /** The server's own limit on idle connections, which it announces; 0 = none. */
  readonly keepAliveTimeoutMs?: number;
}

export interface Relayed {
  readonly server: ScriptedServer;
  readonly mcp: SessionServer;
  readonly bin: BinDriver;
}

/** The spawned bin in front of a session server that verifies every signature. */
export async function startRelayed(options: RelayedOptions = {}): Promise<Relayed> {
  const {
    args = [],
    signing = signingArgs,
    env = {},
    files = {},
    before,
    verify = signingVerify,
    credentials,
    keepAliveTimeoutMs,
    movableClock = false,
    anyStdout = false,
    cwdIsHome = false,
    ...session
  } = options;
  const mcp = new SessionServer(session);
  const behaviour = before ? before(mcp.behaviour) : mcp.behaviour;
  const server = await ScriptedServer.start(behaviour, {
    ...(verify === false ? {} : { verify }),
    ...(keepAliveTimeoutMs === undefined ? {} : { keepAliveTimeoutMs }),
  });
  const keys = credentials === false ? { AWS_EC2_METADATA_DISABLED: 'true' } : signingEnv;
  const bin = BinDriver.start({
    args: [server.url, ...signing, ...args],
    env: { ...keys, ...env },
    files,
    movableClock,
    anyStdout,
    cwdIsHome,
  });
  return { server, mcp, bin };
}

/** As `startRelayed`, with the handshake done and the standalone stream asked for. */
export async function startInitialized(options: RelayedOptions = {}): Promise<Relayed> {
  const relayed = await startRelayed(options);
  // 0 and its like stay free for what the test sends.
  await relayed.bin.initialize({}, 'handshake');
  await relayed.server.until((requests) => requests.some(({ method }) => method === 'GET'));
  return relayed;
}

export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

/** Holds a scripted server until the test lets it go on. */
export function makeGate(): Gate {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
