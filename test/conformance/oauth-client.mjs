// The client that the suite starts for its `auth/` scenarios: `oauth-client.mjs <url>`. It knows nothing of OAuth: the
// proxy behind it logs in, as a user does who runs the command in the error.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, SdkErrorCode } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const BIN = new URL('../../bin/mcp-sigv4-proxy.js', import.meta.url).pathname;
const BROWSER = new URL('../support/follow-login.cjs', import.meta.url).pathname;
/** The document that the suite's authorization server accepts. */
const CLIENT_DOCUMENT = 'https://conformance-test.local/client-metadata.json';
/** A server that is never satisfied must not keep the user busy. */
const MAX_LOGINS = 3;

const [url = ''] = process.argv.slice(2);
const { MCP_CONFORMANCE_SCENARIO: scenario = '', MCP_CONFORMANCE_CONTEXT: context = '{}' } = process.env;
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '';
const given = JSON.parse(context);

const home = mkdtempSync(join(tmpdir(), 'conformance-oauth-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));
const env = { PATH: process.env.PATH ?? '', HOME: home, BROWSER, CLIENT_SECRET: given.client_secret ?? '' };

/** A user who registered the client knows its authorization server. */
async function issuer() {
  const { origin, pathname } = new URL(url);
  const response = await fetch(`${origin}/.well-known/oauth-protected-resource${pathname}`);
  return (await response.json()).authorization_servers[0];
}

async function options() {
  const words = ['--auth', 'oauth', '--retries', '0'];
  if (scenario.startsWith('auth/client-credentials')) words.push('--oauth-flow', 'client-credentials');
  if (given.client_id) words.push('--oauth-client-id', given.client_id);
  else words.push('--oauth-client-id', CLIENT_DOCUMENT);
  if (given.client_secret)
    words.push('--oauth-client-secret-env', 'CLIENT_SECRET', '--oauth-issuer', await issuer());
  if (given.private_key_pem) {
    const file = join(home, 'key.pem');
    writeFileSync(file, given.private_key_pem);
    words.push('--oauth-private-key', file);
  }
  return words;
}

const words = await options();
let logins = 0;

function login() {
  if (++logins > MAX_LOGINS) throw new Error('too many logins');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, 'login', url, ...words], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`login: exit code ${code}`))));
  });
}

/** Does something, and once more after each login that the proxy asks for. */
async function attempt(work) {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      // The SDK takes the refusal of `server/discover` for one of the revision.
      const hidden = error?.code === SdkErrorCode.EraNegotiationFailed;
      if (!hidden && error?.data?.reason !== 'login-required') throw error;
      await login();
    }
  }
}

async function connect() {
  // Not `auto`, which takes the first refusal for one of the revision.
  const mode = revision >= '2026' ? { pin: revision } : 'legacy';
  const client = new Client(
    { name: 'conformance-client', version: '1.0.0' },
    { versionNegotiation: { mode } },
  );
  await client.connect(
    new StdioClientTransport({ command: process.execPath, args: [BIN, url, ...words], env }),
  );
  return client;
}

const client = await attempt(connect);
const { tools } = await attempt(() => client.listTools());
for (const { name } of tools) await attempt(() => client.callTool({ name, arguments: {} }));
await client.close();
process.exit(0);
