import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/command-table.ts';
import { configBlock } from '../../src/commands/config/config.ts';
import { startDemoEndpoint } from '../../src/demo/endpoint.ts';
import { parseArguments, readSettings } from '../../src/settings.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { ConnectProxy } from '../support/connect-proxy.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { readmeBlocks } from '../support/readme-blocks.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { settingsIn } from '../support/settings.ts';
import { signingEnv, signingVerify } from '../support/signing.ts';
import { makeTlsAuthority } from '../support/tls-authority.ts';

const ROOT = join(import.meta.dirname, '../..');
const scripts: Record<string, string> = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts;

const commands = readmeBlocks('sh').flatMap((block) => block.trim().split('\n'));
const PACKAGE = /^npx -y mcp-sigv4-proxy ?/;

/** What a client would start for a configuration block, without npx, which would fetch the package from a registry. */
function serverOf(config: unknown): string[] {
  const { mcpServers, mcp } = config as Record<
    string,
    Record<string, { command: string | string[]; args?: string[] }>
  >;
  const [server] = Object.values(mcpServers ?? mcp ?? {});
  const line = [server?.command ?? [], server?.args ?? []].flat();
  expect(line.slice(0, 3)).toEqual(['npx', '-y', 'mcp-sigv4-proxy']);
  return line.slice(3);
}

describe('the README', () => {
  it('starts with two commands that package.json knows', () => {
    const [first = '', second = ''] = commands;
    expect(first).toBe('npm ci && npm run demo');
    expect(scripts.demo).toBe('node bin/mcp-sigv4-proxy.js demo');
    expect(second).toBe('npm test');
    expect(scripts.test).toContain('vitest run');
  });

  it('shows command lines that the proxy takes without a complaint', async () => {
    const lines = commands
      .map((command) => command.replace(/^claude mcp add \S+ -- /, ''))
      .filter((command) => PACKAGE.test(command));
    expect(lines.length).toBeGreaterThanOrEqual(4);
    for (const line of lines) {
      const outcome = await readSettings(parseArguments(line.replace(PACKAGE, '').split(' '), COMMANDS), {});
      expect(outcome, line).toHaveProperty('settings');
    }
  });

  const configs = readmeBlocks('json').map((block) => JSON.parse(block) as unknown);

  it('has a block for Claude Code, one for opencode and one for several accounts', () => {
    const kinds = configs.map((config) => Object.keys(config as object).at(-1));
    expect(kinds).toEqual(['mcpServers', 'mcp', 'mcpServers']);
  });

  it.each(['claude-code', 'opencode'])(
    'shows the block that the config command prints for %s',
    async (client) => {
      const [line = ''] = commands.filter((command) => command.includes(' config claude-code '));
      const args = parseArguments(
        line.replace(PACKAGE, '').replace('claude-code', client).split(' '),
        COMMANDS,
      );
      const settings = settingsIn(await readSettings(args, {}));
      const { text } = configBlock(args, settings, { platform: 'linux', cwd: ROOT });
      expect(configs).toContainEqual(JSON.parse(text));
    },
  );

  it.each(configs.map((config, at) => [['Claude Code', 'opencode', 'several accounts'][at], config]))(
    'shows a block for %s that brings up a working server',
    async (_client, config) => {
      const session = new SessionServer();
      const server = await ScriptedServer.start(session.behaviour, { verify: signingVerify });
      const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = signingEnv as Record<
        string,
        string
      >;
      const token = AWS_SESSION_TOKEN ? `aws_session_token = ${AWS_SESSION_TOKEN}\n` : '';
      const proxy = await BinDriver.start({
        args: serverOf(config),
        env: {
          MCP_PROXY_ENDPOINT: server.url,
          MCP_PROXY_SERVICE: signingVerify.service,
          MCP_PROXY_REGION: signingVerify.region,
        },
        files: {
          '.aws/credentials': ['dev', 'staging', 'prod']
            .map(
              (name) =>
                `[${name}]\naws_access_key_id = ${AWS_ACCESS_KEY_ID}\naws_secret_access_key = ${AWS_SECRET_ACCESS_KEY}\n${token}`,
            )
            .join(''),
        },
      });
      await proxy.initialize();
      const { result } = await proxy.request('tools/list');
      expect(result).toHaveProperty('tools');
      expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
    },
  );

  it('shows what the commands print', async () => {
    const endpoint = await startDemoEndpoint();
    afterThisTest(() => endpoint.close());
    const { accessKeyId, secretAccessKey, sessionToken } = endpoint.credentials;
    const [session = ''] = readmeBlocks('console');
    const shown = session.split(/^\$ mcp-sigv4-proxy /m).slice(1);
    expect(shown.length).toBeGreaterThanOrEqual(2);
    for (const part of shown) {
      const [line = '', ...lines] = part.trimEnd().split('\n');
      const bin = BinDriver.start({
        args: (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", '')),
        env: {
          MCP_PROXY_ENDPOINT: endpoint.url,
          MCP_PROXY_SERVICE: endpoint.service,
          MCP_PROXY_REGION: endpoint.region,
        },
        files: {
          '.aws/credentials': `[dev]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\naws_session_token = ${sessionToken}\n`,
        },
        anyStdout: true,
      });
      expect(await bin.exit(), line).toEqual({ code: 0, signal: null });
      expect(bin.lines, line).toEqual(lines);
    }
  });

  it('shows what doctor prints behind a company that inspects TLS, but for what differs from run to run', async () => {
    const [, shown = ''] = readmeBlocks('console');
    const [line = '', ...lines] = shown.trimEnd().split('\n');
    const host = 'tools.example.com';
    const authority = await makeTlsAuthority([host], { host, name: 'Example Corp TLS inspection' });
    const server = await ScriptedServer.start((_request, response) => void response.end(), {
      tls: authority,
    });
    const sts = await ScriptedServer.start((_request, response) => {
      response.end('<Arn>arn:aws:iam::123456789012:user/dev</Arn>');
    });
    const proxy = await ConnectProxy.start({ hosts: { [host]: `127.0.0.1:${server.port}` } });
    const bin = BinDriver.start({
      args: line.replace('$ mcp-sigv4-proxy ', '').split(' '),
      env: { HTTPS_PROXY: proxy.url, AWS_ENDPOINT_URL_STS: sts.origin },
      files: {
        '.aws/credentials': '[dev]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\n',
      },
      anyStdout: true,
    });
    expect(await bin.exit()).toEqual({ code: 1, signal: null });
    const leveled = (text: string): string =>
      text
        .replace(/mcp-sigv4-proxy \S+, Node \S+, .*/, 'mcp-sigv4-proxy V, Node V, P')
        .replace(/proxy\.example\.com is 10\.0\.0\.1|127\.0\.0\.1 is an address/, 'the address')
        .replace(/proxy\.example\.com:3128|127\.0\.0\.1:\d+/, 'the proxy')
        .replace(/not trusted \(\w+\)/, 'not trusted (CODE)')
        .replace(/in \d+ ms/, 'in T')
        .replace(/^(ok +defaults +).*--max-connections 5,.*/, '$1')
        .replace(/valid until [^;,]+/, 'valid until T')
        .replace(/\d+ ok/, 'N ok');
    // Where STS stands is for this test to say, and no part of the example.
    const printed = bin.lines.filter((each) => !each.includes('AWS_ENDPOINT_URL_STS'));
    expect(printed.map(leveled)).toEqual(lines.map(leveled));
  });
});
