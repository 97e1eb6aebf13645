// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of clients look like this
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';
import { Terminal } from '../support/terminal.ts';

const serve = () => ScriptedServer.start(new SessionServer().behaviour, { verify: signingVerify });
const keyless = { AWS_EC2_METADATA_DISABLED: 'true' };
const run = (args: readonly string[], env: Readonly<Record<string, string>> = keyless, files = {}) =>
  BinDriver.start({ args, env, files, anyStdout: true });

describe('config --write', () => {
  it('config --write writes the file of the client, keeps its comments and permissions, and leaves a backup', async () => {
    const before = '{\n  // mine\n  "mcpServers": { "other": { "url": "https://x" } }\n}\n';
    const bin = run(
      ['config', 'kiro', '--write', '--name', 'work', '--lazy', '--profile', 'dev'],
      {},
      {
        '.kiro/settings/mcp.json': before,
      },
    );
    chmodSync(join(bin.home, '.kiro/settings/mcp.json'), 0o640);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    const folder = join(bin.home, '.kiro/settings');
    const text = readFileSync(join(folder, 'mcp.json'), 'utf8');
    expect(text).toContain('  // mine\n');
    expect(JSON.parse(text.replace('// mine', '')).mcpServers).toEqual({
      other: { url: 'https://x' },
      work: { command: 'npx', args: ['-y', 'mcp-sigv4-proxy', '--lazy', '--profile', 'dev'] },
    });
    expect(statSync(join(folder, 'mcp.json')).mode & 0o777).toBe(0o640);
    const [backup = ''] = readdirSync(folder).filter((name) => name.startsWith('mcp.json.backup-'));
    expect(readFileSync(join(folder, backup), 'utf8')).toBe(before);
    expect(bin.lines.join('\n')).toMatch(/^\+ +"work": \{/m);
    expect(bin.lines.at(-1)).toBe(`Wrote ${folder}/mcp.json; the old file is ${folder}/${backup}.`);
  });

  it('config --write creates a private file, writes through a symbolic link, and reports a file that is up to date', async () => {
    const first = run(['--version']);
    mkdirSync(join(first.home, 'dotfiles'));
    const target = join(first.home, 'dotfiles/config.toml');
    writeFileSync(target, '# mine\n');
    symlinkSync(target, join(first.home, 'config.toml'));
    const env = { ...keyless, CODEX_HOME: first.home };
    expect(await run(['config', 'codex', '--write', '--lazy'], env).exit()).toMatchObject({ code: 0 });
    expect(readFileSync(target, 'utf8')).toMatch(/^# mine\n[\s\S]*\[mcp_servers\.aws\]/);
    const again = run(['config', 'codex', '--write', '--lazy'], env);
    expect(await again.exit()).toMatchObject({ code: 0 });
    expect(again.lines).toEqual([`${join(first.home, 'config.toml')} is up to date.`]);
    const file = join(first.home, 'new/mcp.json');
    expect(await run(['config', 'cursor', '--file', file]).exit()).toMatchObject({ code: 0 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('config --write changes nothing in a file that it cannot read as JSON, and names the place for a client without file', async () => {
    const bin = run(['config', 'cursor', '--write'], keyless, { '.cursor/mcp.json': '{"a": geheim}' });
    expect(await bin.exit()).toMatchObject({ code: 1 });
    expect(bin.stderr).toMatch(
      /mcp\.json is no valid JSON: InvalidSymbol in line 1\. Nothing was changed\.\n$/,
    );
    expect(readFileSync(join(bin.home, '.cursor/mcp.json'), 'utf8')).toBe('{"a": geheim}');
    const none = run(['config', 'jetbrains', '--write']);
    expect(await none.exit()).toMatchObject({ code: 1 });
    expect(none.stderr).toContain('documents no file. Paste the block of "config jetbrains" here: Settings');
  });
});

describe('init', () => {
  it('init asks for endpoint, profile and client, checks them, and writes the file after a confirmation', async () => {
    const server = await serve();
    const terminal = await Terminal.start({
      args: ['init', ...signingArgs],
      env: signingEnv,
      columns: 200,
    });
    await terminal.shows(/Endpoint \(URL or ARN\) \[https:\/\/aws-mcp[^\]]*\]: $/);
    terminal.type(`${server.url}\n`);
    await terminal.shows(/AWS profile \(empty: the default chain\): $/);
    terminal.type('\n');
    await terminal.shows(/Client \[claude-code\]: $/);
    terminal.type('curser\n');
    await terminal.shows(/Do you mean cursor\? \(y\/n\) \[y\]: $/);
    terminal.type('y\n');
    await terminal.shows(/Write this\? \(y\/n\) \[y\]: $/);
    terminal.type('\n');
    expect(await terminal.exit()).toBe(0);
    const { aws } = JSON.parse(readFileSync(join(terminal.home, '.cursor/mcp.json'), 'utf8')).mcpServers;
    expect(aws.args).toContain(server.url);
    expect(aws.env.AWS_SECRET_ACCESS_KEY).toBe('${env:AWS_SECRET_ACCESS_KEY}');
    expect(terminal.output).toContain('initialize        HTTP 200');
  });

  it('init ends at Ctrl-C without a file', async () => {
    const terminal = await Terminal.start({ args: ['init', 'cursor'], env: keyless });
    await terminal.shows(/Endpoint/);
    terminal.type('\u0003');
    expect(await terminal.exit()).toBe(130);
    expect(readdirSync(terminal.home)).not.toContain('.cursor');
  });

  it('init --yes asks nothing, and writes no file if a check fails', async () => {
    const server = await serve();
    const good = run(['init', 'kiro', server.url, '--yes', ...signingArgs], signingEnv);
    expect(await good.exit()).toMatchObject({ code: 0 });
    expect(readFileSync(join(good.home, '.kiro/settings/mcp.json'), 'utf8')).toContain(server.url);
    await server.close();
    const bad = run(['init', 'kiro', server.url, '--yes', ...signingArgs], signingEnv);
    expect(await bad.exit()).toMatchObject({ code: 1 });
    expect(bad.stderr).toContain('nothing was written, because a check failed.');
    expect(readdirSync(bad.home)).not.toContain('.kiro');
  });

  it('init reports what is missing where it cannot ask', async () => {
    const pipe = run(['init', 'kiro']);
    expect(await pipe.exit()).toMatchObject({ code: 2 });
    expect(pipe.stderr).toContain('init asks questions on a terminal: pass --yes');
    const client = run(['init', '--yes']);
    expect(await client.exit()).toMatchObject({ code: 2 });
    expect(client.stderr).toContain('--yes needs the client: mcp-sigv4-proxy init <client> --yes');
  });
});
