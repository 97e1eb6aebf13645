// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of clients look like this
import { describe, expect, it } from 'vitest';
import { CLIENTS, COMMANDS } from '../../src/command-table.ts';
import { BinDriver } from '../support/bin-driver.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

const WITH_JSON = Object.entries(COMMANDS)
  .flatMap(([name, { options }]) => ('json' in options ? [name] : []))
  .join(', ');

describe('config', () => {
  it('config prints a block with which a client can start the proxy after it filled in the secrets', async () => {
    const server = await ScriptedServer.start(new SessionServer().behaviour, { verify: signingVerify });
    const asked = BinDriver.start({
      args: ['config', 'claude-code', server.url, ...signingArgs, '--header', 'x-api-key: ${KEY}'],
      env: { ...signingEnv, KEY: 'geheim', AWS_EC2_METADATA_DISABLED: 'true' },
      anyStdout: true,
    });
    expect(await asked.exit()).toEqual({ code: 0, signal: null });
    expect(asked.stderr).toMatch(
      /^For Claude Code: \.mcp\.json .*\nOr run: claude mcp add aws --env .* -- npx -y mcp-sigv4-proxy .*\nNot copied, because they are secret: KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN\. .*\n/,
    );
    const { aws } = JSON.parse(asked.lines.join('\n')).mcpServers;
    expect(JSON.stringify(aws)).not.toContain(signingEnv.AWS_SECRET_ACCESS_KEY);

    const own: Readonly<Record<string, string>> = { ...signingEnv, KEY: 'geheim' };
    const filled = Object.entries<string>(aws.env).map(([name, value]) => [
      name,
      value.replace(/\$\{(\w+)\}/g, (_whole, variable: string) => own[variable] ?? ''),
    ]);
    const bin = BinDriver.start({ args: aws.args.slice(2), env: Object.fromEntries(filled) });
    await bin.initialize();
    expect(await bin.request('tools/list')).toMatchObject({ result: { tools: expect.anything() } });
    expect(server.requests.every(({ headers }) => headers['x-api-key'] === 'geheim')).toBe(true);
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
  });

  it.each<[args: string[], problems: string[]]>([
    [[], ['config needs a <client> before its options']],
    [
      ['emacs', '--max-connections', '0', '--json'],
      [
        `--json is for ${WITH_JSON} only`,
        '--max-connections must be an integer >= 1, not "0"',
        `<client> must be one of ${CLIENTS.join(', ')}, not "emacs"`,
      ],
    ],
    [
      ['kiro', 'cursor', 'http://example.com'],
      [
        'config takes no "cursor": an endpoint is a URL or an ARN',
        'the endpoint must use https: http sends signed requests unencrypted, and is allowed for loopback addresses only, not "http://example.com"',
      ],
    ],
  ])('config reports all problems at once: %j', async (args, problems) => {
    const bin = BinDriver.start({ args: ['config', ...args] });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.lines).toEqual([]);
    for (const problem of problems) expect(bin.stderr).toContain(`\n  ${problem}\n`);
  });

  it('config prints a block with the URL of the listener for --listen, and one for stdio with --stdio', async () => {
    const listening = ['--listen', '0.0.0.0:8080', '--listen-path', '/x'];
    const env = { MCP_PROXY_LISTEN_TOKEN: 'geheim-geheim-geheim' };
    const http = BinDriver.start({ args: ['config', 'claude-code', ...listening], env, anyStdout: true });
    expect(await http.exit()).toEqual({ code: 0, signal: null });
    expect(JSON.parse(http.lines.join('')).mcpServers.aws).toEqual({
      type: 'http',
      url: 'http://localhost:8080/x',
      headers: { Authorization: 'Bearer ${LISTEN_TOKEN}' },
    });
    expect(http.stderr).toContain(
      "\nOr run: claude mcp add --transport http aws http://localhost:8080/x --header 'Authorization: Bearer ${LISTEN_TOKEN}'\n",
    );
    const desktop = BinDriver.start({ args: ['config', 'claude-desktop', '--listen', '127.0.0.1:8080'] });
    expect(await desktop.exit()).toEqual({ code: 2, signal: null });
    expect(desktop.stderr).toBe(
      'mcp-sigv4-proxy: Claude Desktop starts its servers on stdio, and connects to no URL of its file: omit --listen, or add --stdio.\n',
    );
    const anyPort = BinDriver.start({ args: ['config', 'kiro', '--listen', '127.0.0.1:0'] });
    expect(await anyPort.exit()).toEqual({ code: 2, signal: null });
    const both = BinDriver.start({
      args: ['config', 'kiro', '--listen', '127.0.0.1:8080', '--stdio'],
      env: { MCP_PROXY_LISTEN_TOKEN: 'geheim-geheim-geheim' },
      anyStdout: true,
    });
    expect(await both.exit()).toEqual({ code: 0, signal: null });
    expect(both.lines.join('')).toContain('${MCP_PROXY_LISTEN_TOKEN}');
    expect(both.lines.join('')).not.toContain('geheim');
  });

  it('config has its own --help', async () => {
    const bin = BinDriver.start({ args: ['config', '--help'], anyStdout: true });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.lines[0]).toBe('Usage: mcp-sigv4-proxy config <client> [endpoint] [options]');
    expect(bin.lines.at(-1)).toMatch(/^ {2}mcp-sigv4-proxy config /);
  });
});
