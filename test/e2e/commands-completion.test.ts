import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SHELLS } from '../../src/command-table.ts';
import { BIN_PATH, BinDriver } from '../support/bin-driver.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}, files = {}) =>
  BinDriver.start({ args, env, files, anyStdout: true });

describe('completion', () => {
  it('completion prints a script for each shell, and refuses other shells, options and endpoints', async () => {
    for (const shell of SHELLS) {
      const bin = run(['completion', shell]);
      expect(await bin.exit()).toEqual({ code: 0, signal: null });
      expect(bin.lines.join('\n')).toContain('__complete');
    }
    const wrong = run(['completion', 'bsh', '--timeout', '3', 'https://x.example']);
    expect(await wrong.exit()).toEqual({ code: 2, signal: null });
    for (const problem of [
      '<shell> must be one of bash, zsh, fish, powershell, not "bsh"; did you mean bash or zsh?',
      '--timeout is not for completion',
      'completion takes no endpoint',
    ])
      expect(wrong.stderr).toContain(`\n  ${problem}\n`);
  });

  it('the script for bash completes words in bash, also behind an equals sign', async () => {
    const script = run(['completion', 'bash']);
    await script.exit();
    const home = script.home;
    mkdirSync(join(home, 'bin'));
    const program = join(home, 'bin/mcp-sigv4-proxy');
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${BIN_PATH}' "$@"\n`);
    chmodSync(program, 0o755);
    const completed = (line: string, bashWords: string) => {
      const setUp = `COMP_LINE='${line}' COMP_POINT=${line.length} COMP_WORDS=(${bashWords}) COMP_CWORD=$((\${#COMP_WORDS[@]}-1))`;
      const text = `${script.lines.join('\n')}\n${setUp}\n_mcp_sigv4_proxy\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
      const env = { PATH: `${join(home, 'bin')}:${process.env.PATH}`, HOME: home };
      return spawnSync('bash', ['-c', text], { encoding: 'utf8', env }).stdout.trim().split('\n');
    };
    expect(completed('mcp-sigv4-proxy config cl', 'mcp-sigv4-proxy config cl')).toEqual([
      'claude-code',
      'claude-desktop',
      'cline',
    ]);
    expect(completed('mcp-sigv4-proxy completion ', "mcp-sigv4-proxy completion ''")).toEqual([...SHELLS]);
    expect(completed('mcp-sigv4-proxy --log-level=s', 'mcp-sigv4-proxy --log-level = s')).toEqual(['silent']);
  });

  it('the names of tools and profiles come from the server and the AWS files', async () => {
    const mcp = new SessionServer();
    const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
    const tools = run(['__complete', 'call', server.url, ...signingArgs, '--timeout', '5', 's'], signingEnv);
    expect(await tools.exit()).toEqual({ code: 0, signal: null });
    expect(tools.lines).toEqual(['sleep\tThe sleep tool']);
    expect(mcp.deleted).toHaveLength(1);
    const profiles = run(
      ['__complete', 'login', ''],
      {},
      { '.aws/config': '[default]\nregion = x\n[profile dev]\nregion = x\n' },
    );
    await profiles.exit();
    expect(profiles.lines).toEqual(['default', 'dev']);
    await server.close();
    const none = run(['__complete', 'call', server.url, ...signingArgs, '--timeout', '5', 's'], signingEnv);
    expect(await none.exit()).toEqual({ code: 0, signal: null });
    expect([none.lines, none.stderr]).toEqual([[], '']);
  });
});

describe('login', () => {
  const CONFIG = `[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = r
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-west-1
[profile role]
role_arn = arn:aws:iam::123456789012:role/r
source_profile = sso
[profile console]
login_session = arn:aws:sts::123456789012:assumed-role/r/me
[profile keys]
aws_access_key_id = AKIAEXAMPLE
aws_secret_access_key = s
`;
  const FAKE_AWS = '#!/bin/sh\necho "aws $@"\nexit 3\n';

  function login(args: readonly string[], path = true, env: Readonly<Record<string, string>> = {}) {
    const home = run(['--version']).home;
    mkdirSync(join(home, 'bin'));
    if (path) {
      writeFileSync(join(home, 'bin/aws'), FAKE_AWS);
      chmodSync(join(home, 'bin/aws'), 0o755);
    }
    return run(
      ['login', ...args],
      { PATH: path ? `${join(home, 'bin')}:/usr/bin:/bin` : join(home, 'bin'), ...env },
      { '.aws/config': CONFIG },
    );
  }

  it.each<[profile: string, command: string]>([
    ['sso', 'aws sso login --profile sso'],
    ['role', 'aws sso login --profile sso'],
    ['console', 'aws login --profile console'],
  ])('login %s prints and runs the command %s, and returns its exit code', async (profile, command) => {
    const bin = login([profile]);
    expect(await bin.exit()).toEqual({ code: 3, signal: null });
    expect(bin.stderr).toBe(`$ ${command}\n`);
    expect(bin.lines).toEqual([command]);
  });

  it('login takes the profile of --profile and AWS_PROFILE', async () => {
    const flag = login(['--profile', 'console']);
    await flag.exit();
    expect(flag.lines).toEqual(['aws login --profile console']);
    const variable = login([], true, { AWS_PROFILE: 'sso' });
    await variable.exit();
    expect(variable.lines).toEqual(['aws sso login --profile sso']);
  });

  it('login reports a profile that needs no login, an unknown one, and a missing AWS CLI', async () => {
    const keys = login(['keys']);
    expect(await keys.exit()).toEqual({ code: 0, signal: null });
    expect(keys.lines).toEqual([
      "profile 'keys' needs no login: its credentials come from the shared files.",
    ]);
    const unknown = login(['consle']);
    expect(await unknown.exit()).toEqual({ code: 1, signal: null });
    expect(unknown.stderr).toContain("Did you mean 'console'?");
    const missing = login(['sso'], false);
    expect(await missing.exit()).toEqual({ code: 127, signal: null });
    expect(missing.stderr).toContain('the AWS CLI is not installed, or not in PATH');
  });
});
