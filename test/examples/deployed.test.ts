import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { ConnectProxy } from '../support/connect-proxy.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingEnv, signingVerify } from '../support/signing.ts';
import { makeTlsAuthority } from '../support/tls-authority.ts';

const EXAMPLES = join(import.meta.dirname, '../../examples');
const run = (args: readonly string[], env: NodeJS.ProcessEnv) =>
  promisify(execFile)(process.execPath, args, {
    env: { PATH: process.env.PATH, ...signingEnv, ...env },
    timeout: 20_000,
  });

it('the Lambda example answers invocations over one session and one connection', async () => {
  const session = new SessionServer({ getStream: false });
  const server = await ScriptedServer.start(session.behaviour, { verify: signingVerify });
  const { service, region } = signingVerify;
  const program = `const { handler } = await import(${JSON.stringify(join(EXAMPLES, 'lambda.mjs'))});
for (const text of ['a', 'b']) console.log(JSON.stringify(await handler({ tool: 'echo', arguments: { text } })));
process.exit();`;
  const { stdout } = await run(['--input-type=module', '-e', program], {
    MCP_ENDPOINT: server.url,
    MCP_SERVICE: service,
    MCP_REGION: region,
  });
  const answer = (text: string) => JSON.stringify({ isError: false, text: JSON.stringify({ text }) });
  expect(stdout).toBe(`${answer('a')}\n${answer('b')}\n`);
  expect(session.sessions.size).toBe(1);
  const calls = server.requests.filter(({ rpc }) => rpc.method === 'tools/call');
  expect(new Set(calls.map(({ connection }) => connection)).size).toBe(1);
});

it('the AgentCore example signs for the service and region of the ARN, and reaches the URL of the runtime', async () => {
  const { key, cert, caFile, host } = await agentCoreCertificate();
  const verify = { ...signingVerify, service: 'bedrock-agentcore', region: 'eu-west-1' };
  const session = new SessionServer();
  const server = await ScriptedServer.start(session.behaviour, { verify, tls: { key, cert } });
  const hosts = { [host]: `localhost:${new URL(server.url).port}` };
  const proxy = await ConnectProxy.start({ hosts });
  const arn = 'arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/tools-abc';
  const { stdout } = await run([join(EXAMPLES, 'agentcore.mjs'), arn], {
    HTTPS_PROXY: proxy.url,
    AWS_CA_BUNDLE: caFile(),
  });
  expect(stdout).toMatch(/\becho\b/);
  expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
  expect(server.requests[0]?.url).toContain(encodeURIComponent(arn));
  expect(session.deleted).toHaveLength(1);
});

async function agentCoreCertificate() {
  const host = 'bedrock-agentcore.eu-west-1.amazonaws.com';
  return { ...(await makeTlsAuthority([host])), host };
}
