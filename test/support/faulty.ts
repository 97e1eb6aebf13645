import { BinDriver } from './bin-driver.ts';
import { FaultServer } from './fault-server.ts';
import type { Rpc } from './mcp-answers.ts';
import { signingArgs, signingEnv } from './signing.ts';

/** The spawned bin in front of a server with scripted faults, after the handshake. */
export async function startFaulty(...args: readonly string[]) {
  const server = await FaultServer.start();
  const bin = BinDriver.start({ args: [server.url, ...signingArgs, ...args], env: signingEnv });
  await bin.initialize({}, 'handshake');
  // Its answer comes when the standalone stream has its headers: what follows meets a quiet server.
  await bin.request('ping', {}, 'quiet');
  const call = (token: string, id: number | string = token, more: object = {}, name = 'mark'): Promise<Rpc> =>
    bin.request('tools/call', { name, arguments: { token, ...more } }, id);
  return { server, bin, call };
}

/** The tool's answer if it ran. */
export const marked = (token: string, id: number | string = token): Rpc => ({
  jsonrpc: '2.0',
  id,
  result: { content: [{ type: 'text', text: token }] },
});
