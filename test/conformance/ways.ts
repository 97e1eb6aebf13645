import { BinDriver } from '../support/bin-driver.ts';
import { startListener } from '../support/listening.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { StdioBridge } from '../support/stdio-bridge.ts';
import { startSuiteServer } from '../support/suite-server/server.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

/** The proxy's front ends, each a way to the server. */
export type Way = 'stdio' | 'listener';
export const WAYS: readonly Way[] = ['stdio', 'listener'];

export interface Road {
  readonly url: string;
  /** Ends all that the road is made of; resolves with what was out of order on it. */
  close(): Promise<string[]>;
}

interface FrontEnd {
  readonly url: string;
  /** Resolves with what the proxy wrote to stderr. */
  close(): Promise<string>;
}

async function openStdio(endpoint: string): Promise<FrontEnd> {
  const bridge = await StdioBridge.start(() =>
    BinDriver.start({ args: [endpoint, ...signingArgs], env: signingEnv }),
  );
  const close = async (): Promise<string> => {
    await bridge.close();
    return bridge.stderr.join('');
  };
  return { url: bridge.url, close };
}

async function openListener(endpoint: string): Promise<FrontEnd> {
  const { bin, url } = await startListener(endpoint);
  const close = async (): Promise<string> => {
    bin.kill();
    await bin.exit();
    await bin.dispose();
    // At the level that tells the address, the news of a healthy run are at that level too.
    return bin.stderr
      .split('\n')
      .filter((line) => /"level":"(warn|error|fatal)"/.test(line))
      .join('\n');
  };
  return { url, close };
}

const FRONT_ENDS: Readonly<Record<Way, (endpoint: string) => Promise<FrontEnd>>> = {
  stdio: openStdio,
  listener: openListener,
};

/** A server of both eras, and the road to it: whatever comes through the proxy must be signed. */
export async function open(way: Way | 'direct'): Promise<Road> {
  const server = await startSuiteServer('both');
  if (way === 'direct') return { url: server.url, close: () => server.close().then(() => []) };
  const gate = await VerifyingProxy.start(server.url, signingVerify);
  const { url, close } = await FRONT_ENDS[way](gate.url);
  const closeAll = async (): Promise<string[]> => {
    const stderr = await close();
    await gate.close();
    await server.close();
    return [...(stderr ? [stderr] : []), ...gate.refused.map(({ method }) => `unsigned: ${method}`)];
  };
  return { url, close: closeAll };
}
