import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingEnv, signingVerify } from '../support/signing.ts';

const PATH = '.config/mcp-sigv4-proxy/config.json';
const serve = () => ScriptedServer.start(new SessionServer().behaviour, { verify: signingVerify });

const configFor = (url: string, more = '') => `{
  // the endpoints of this team
  "endpoints": {
    "work": { "endpoint": "${url}", "service": "execute-api", "region": "eu-west-1", "deny-tool": ["big"], },
  },${more}
}`;

const run = (args: readonly string[], text: string, env: Readonly<Record<string, string>> = {}) =>
  BinDriver.start({ args, env: { ...signingEnv, ...env }, files: { [PATH]: text }, anyStdout: true });

describe('the configuration file', () => {
  it('the configuration file names endpoints with their options, and a flag or variable wins', async () => {
    const server = await serve();
    const text = configFor(server.url);
    const names = (bin: BinDriver) => bin.lines.slice(1).map((line) => line.split(' ')[0]);
    const bin = run(['tools', '@work'], text);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(names(bin)).toEqual(['echo', 'sleep', 'elicit', 'progress']);
    expect(server.requests.every(({ verification }) => verification?.ok)).toBe(true);
    const flag = run(['tools', '--deny-tool', 'echo', '@work'], text);
    await flag.exit();
    expect(names(flag)).toEqual(['sleep', 'elicit', 'progress', 'big']);
    const variable = run(['tools'], text, { MCP_PROXY_ENDPOINT: '@work', MCP_PROXY_DENY_TOOL: 'sleep' });
    await variable.exit();
    expect(names(variable)).toEqual(['echo', 'elicit', 'progress', 'big']);
  });

  it('the configuration file is used for serving, and doctor names it as the origin', async () => {
    const server = await serve();
    const text = configFor(server.url, '\n  "log-level": "info"');
    const bin = BinDriver.start({ args: ['@work'], env: signingEnv, files: { [PATH]: text } });
    await bin.initialize();
    expect(bin.stderr).toContain('"session.opened"');
    const doctor = run(['doctor', '@work'], text);
    expect(await doctor.exit()).toMatchObject({ code: 0 });
    expect(doctor.lines.join('\n')).toContain(
      `--log-level info, from log-level of ${join(doctor.home, PATH)}`,
    );
  });

  it('the profile of the configuration file wins over AWS_PROFILE, which belongs to the shell', async () => {
    const server = await serve();
    const bin = run(['call', 'echo', '@work'], configFor(server.url, '\n  "profile": "file"'), {
      AWS_PROFILE: 'shell',
    });
    expect(await bin.exit()).toMatchObject({ code: 1 });
    expect(bin.stderr).toContain("No AWS credentials for profile 'file'");
  });

  it.each<[what: string, args: string[], text: string, problem: RegExp]>([
    [
      'a name that it lacks',
      ['tools', '@wrok'],
      configFor('https://x'),
      /config\.json: has no endpoint "wrok"; there are: work; did you mean work\?/,
    ],
    ['invalid JSON', ['tools'], '{\n"a"', /config\.json is no valid JSON: ColonExpected in line 2/],
    [
      'an invalid value',
      ['tools'],
      '{"timeout": -1}',
      /timeout of .*config\.json must be a number of seconds >= 0, not "-1"/,
    ],
    [
      'an invalid endpoint',
      ['tools'],
      '{"endpoint": "ftp://x"}',
      /the endpoint in .*config\.json must start with https/,
    ],
    [
      'another file that is absent',
      ['tools', '--config', 'no.json'],
      '{}',
      /the configuration file no\.json cannot be read: ENOENT/,
    ],
  ])('the configuration file with %s is refused', async (_what, args, text, problem) => {
    const bin = run(args, text);
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toMatch(problem);
  });

  it('a configuration file that others can write is refused, and one in the current folder is not read', async () => {
    const server = await serve();
    const bin = BinDriver.start({
      args: ['--version'],
      files: { 'c.json': configFor(server.url) },
      anyStdout: true,
    });
    const path = join(bin.home, 'c.json');
    const given = BinDriver.start({
      args: ['tools', '@work', '--config', path],
      env: signingEnv,
      anyStdout: true,
    });
    expect(await given.exit()).toMatchObject({ code: 0 });
    chmodSync(path, 0o666);
    const open = BinDriver.start({ args: ['tools', '@work', '--config', path], env: signingEnv });
    expect(await open.exit()).toMatchObject({ code: 2 });
    const none = BinDriver.start({ args: ['tools', '@work'], env: signingEnv });
    expect(await none.exit()).toMatchObject({ code: 2 });
    expect(none.stderr).toMatch(
      /@work needs the file .*\.config\/mcp-sigv4-proxy\/config\.json, which does not exist/,
    );
  });

  it('config copies the name of an endpoint, and none of the options of the file', async () => {
    const bin = run(['config', 'kiro', '@work', '--lazy'], configFor('https://x.example/mcp'), {
      AWS_ACCESS_KEY_ID: '',
      AWS_SECRET_ACCESS_KEY: '',
      AWS_SESSION_TOKEN: '',
    });
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(JSON.parse(bin.lines.join('')).mcpServers.aws.args).toEqual([
      '-y',
      'mcp-sigv4-proxy',
      '@work',
      '--lazy',
    ]);
  });
});
