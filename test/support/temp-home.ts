import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterThisTest } from './cleanup.ts';

/** A home directory of the test's own, and an environment that knows no other. */
export interface TempHome {
  readonly home: string;
  /**
   * The environment that an MCP client gives a server, without that of this machine: no AWS_*, no
   * proxy, no CA.
   */
  readonly env: NodeJS.ProcessEnv;
  /** Writes a file under the home, its folders included; returns its absolute path. */
  write(path: string, text: string): Promise<string>;
  /** Writes ~/.aws/config. */
  config(text: string): Promise<string>;
  /** Writes ~/.aws/credentials. */
  credentials(text: string): Promise<string>;
  /** Writes the token that `aws sso login` would leave for the session name (or start URL). */
  ssoToken(id: string, token: Readonly<Record<string, unknown>>): Promise<string>;
  /** Writes what `aws login` would leave for the session. */
  loginToken(session: string, token: Readonly<Record<string, unknown>>): Promise<string>;
  /** A script for credential_process, and the command that runs it. */
  script(name: string, source: string): Promise<string>;
  cleanup(): Promise<void>;
}

export async function makeTempHome(): Promise<TempHome> {
  const home = await mkdtemp(join(tmpdir(), 'mcp-sigv4-proxy-home-'));
  const env: NodeJS.ProcessEnv = { HOME: home, USERPROFILE: home, PATH: process.env.PATH };
  if (process.env.SystemRoot !== undefined) env.SystemRoot = process.env.SystemRoot;
  const write = async (path: string, text: string): Promise<string> => {
    const full = join(home, path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, text);
    return full;
  };
  const hash = (algorithm: string, text: string) => createHash(algorithm).update(text).digest('hex');
  const cleanup = () => rm(home, { recursive: true, force: true });
  afterThisTest(cleanup);
  return {
    home,
    env,
    write,
    config: (text) => write('.aws/config', text),
    credentials: (text) => write('.aws/credentials', text),
    ssoToken: (id, token) => write(`.aws/sso/cache/${hash('sha1', id)}.json`, JSON.stringify(token)),
    loginToken: (session, token) =>
      write(`.aws/login/cache/${hash('sha256', session)}.json`, JSON.stringify(token)),
    script: async (name, source) => `"${process.execPath}" "${await write(name, source)}"`,
    cleanup,
  };
}

/** Makes `env` the process's own environment until the test ends: the AWS SDK reads no other. */
export function useEnv(env: NodeJS.ProcessEnv): void {
  const before = { ...process.env };
  replaceEnv(env);
  afterThisTest(() => replaceEnv(before));
}

function replaceEnv(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(process.env)) if (!(name in env)) delete process.env[name];
  for (const [name, value] of Object.entries(env)) if (value !== undefined) process.env[name] = value;
}
