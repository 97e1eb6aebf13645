import { BinDriver } from '../support/bin-driver.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { StdioBridge } from '../support/stdio-bridge.ts';
import { startSuiteServer } from '../support/suite-server/server.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

/** The proxy's front ends, each a way to the server. */
export type Way = 'stdio';
export const WAYS: readonly Way[] = ['stdio'];

export interface Road {
  readonly url: string;
  /** Ends all that the road is made of; resolves with what the proxy wrote to stderr and with how many requests were refused. */
  close(): Promise<{ stderr: string; refused: number }>;
}

/** A server of both eras, and the road to it: every request through the proxy must be signed. */
export async function open(way: Way | 'direct'): Promise<Road> {
  const server = await startSuiteServer('both');
  if (way === 'direct') {
    const close = async () => {
      await server.close();
      return { stderr: '', refused: 0 };
    };
    return { url: server.url, close };
  }
  const gate = await VerifyingProxy.start(server.url, signingVerify);
  const bridge = await StdioBridge.start(() =>
    BinDriver.start({ args: [gate.url, ...signingArgs], env: signingEnv }),
  );
  const close = async () => {
    await bridge.close();
    await gate.close();
    await server.close();
    return { stderr: bridge.stderr.join(''), refused: gate.refused.length };
  };
  return { url: bridge.url, close };
}
