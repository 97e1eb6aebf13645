import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { errorOf } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { startSuiteServer } from '../support/suite-server/server.ts';
import { Terminal } from '../support/terminal.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

/** A server of the SDK that knows the revision without sessions and no other, behind IAM. */
async function stateless(): Promise<VerifyingProxy> {
  const { url } = await startSuiteServer('stateless');
  return VerifyingProxy.start(url, signingVerify);
}

const run = (...args: string[]): BinDriver =>
  BinDriver.start({ args: [...args, ...signingArgs], env: signingEnv, anyStdout: true });

describe('the commands with a server of the stateless era', () => {
  it('tools lists the tools of a stateless server', async () => {
    const server = await stateless();
    const bin = run('tools', server.url);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
    expect(bin.lines).toContainEqual(expect.stringMatching(/^test_tool_with_progress +- +Reports progress$/));
    // The one that is refused is the handshake that it does not know, and not for its signature.
    expect(server.refused).toEqual([]);
  });

  it('call calls a tool of a stateless server with arguments in headers, and shows progress on a terminal', async () => {
    const server = await stateless();
    const bin = run('call', 'test_mirrored_argument', server.url, '--args', '{"region":"eu-west-1"}');
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines).toEqual(['eu-west-1']);
    const terminal = await Terminal.start({
      args: ['call', 'test_tool_with_progress', server.url, ...signingArgs],
      env: signingEnv,
    });
    expect(await terminal.exit()).toBe(0);
    expect(terminal.output).toBe('\r\u001b[K0/100\r\u001b[K50/100\r\u001b[K100/100\r\u001b[Kdone\n');
  });

  it('call returns 1 for a stateless tool that needs input, because it declares no capability for it', async () => {
    const server = await stateless();
    const bin = run('call', 'test_input_required_result_multi_round', server.url);
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    expect(bin.lines).toEqual([]);
    expect(bin.stderr).toMatch(
      /^mcp-sigv4-proxy: The server answered with error -32021: Cannot request input .* do not declare the required capability\n$/,
    );
  });

  it('doctor reports no failure and no session at a stateless server', async () => {
    const server = await stateless();
    const bin = run('doctor', server.url);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    const page = bin.lines.join('\n');
    expect(page).toMatch(
      /ok +initialize +HTTP 200, suite-server 0\.0\.0, revision 2026-07-28, without a session\n/,
    );
    expect(page).toMatch(/ok +tools\/list +\d+ tools on 1 page\n/);
    expect(page).toMatch(/skipped +session closed +the server did not assign a session id\n/);
  });
});

it('tools prints the error of initialize if server/discover fails too', async () => {
  const server = await ScriptedServer.start(({ rpc }, response) =>
    sendJson(response, 200, errorOf(rpc.id, -32601, `no ${rpc.method} here`)),
  );
  const bin = run('tools', server.url);
  expect(await bin.exit()).toEqual({ code: 1, signal: null });
  expect(bin.stderr).toBe('mcp-sigv4-proxy: The server answered with error -32601: no initialize here\n');
  expect(server.requests.map(({ rpc }) => rpc.method)).toEqual(['initialize', 'server/discover']);
});
