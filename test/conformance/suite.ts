import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** The last revision with sessions, and the stateless one. */
export type Revision = '2025-11-25' | '2026-07-28';

/** One finding of the suite. */
export interface Check {
  readonly id: string;
  readonly name: string;
  readonly status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO';
  readonly errorMessage?: string;
}

/** The checks of each scenario, by the scenario's name. */
export type Findings = ReadonlyMap<string, readonly Check[]>;

const HERE = import.meta.dirname;
const SUITE = join(HERE, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');
const FOR_NODE_20 = join(HERE, 'node20/register.mjs');
const CLIENT = join(HERE, 'client.mjs');
const OAUTH_CLIENT = join(HERE, 'oauth-client.mjs');

/** Long enough for every scenario of a revision, one after the other; one that hangs is given up by the suite after 30 s. */
const MAX_RUN_MS = 300_000;

/** `server-tools-list-2026-11-21T09-46-34-432Z` for a server's scenario, without the first word for a client's. */
const scenarioOf = (folder: string, mode: string): string => {
  const name = folder.replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '');
  return mode === 'server' ? name.replace(/^server-/, '') : name;
};

/** Runs the suite's command line; its failures are in the files that it writes, not in its exit code. */
async function run(mode: 'server' | 'client', args: readonly string[]): Promise<Findings> {
  const folder = await mkdtemp(join(tmpdir(), 'conformance-'));
  try {
    const output = await new Promise<string>((resolve) => {
      const { PATH = '' } = process.env;
      execFile(
        process.execPath,
        ['--import', FOR_NODE_20, SUITE, mode, ...args, '--output-dir', folder],
        { env: { PATH, HOME: folder }, timeout: MAX_RUN_MS, maxBuffer: 64 * 1024 * 1024 },
        (_failed, stdout, stderr) => resolve(`${stdout}\n${stderr}`),
      );
    });
    const findings = new Map<string, Check[]>();
    // A scenario's name may have a slash, which makes a folder in the folder.
    for (const path of await readdir(folder, { recursive: true })) {
      if (basename(path) !== 'checks.json') continue;
      const checks: Check[] = JSON.parse(await readFile(join(folder, path), 'utf8'));
      findings.set(scenarioOf(dirname(path), mode), checks);
    }
    if (findings.size === 0) throw new Error(`The suite found out nothing:\n${output.slice(-2_000)}`);
    return findings;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Tries a server: with all that the revision requires, or with one scenario. */
export const tryServer = (url: string, revision: Revision, scenario?: string): Promise<Findings> =>
  run('server', [
    '--url',
    url,
    ...(scenario ? ['--scenario', scenario, '--spec-version', revision] : ['--requirements', revision]),
  ]);

/** Tries the SDK's client of a generation, connected in that way, with one scenario. */
export async function tryClient(
  generation: 'v1' | 'v2',
  way: string,
  revision: Revision,
  scenario: string,
): Promise<readonly Check[]> {
  const command = `${process.execPath} ${CLIENT} ${generation} ${way}`;
  const findings = await run('client', [
    '--command',
    command,
    '--scenario',
    scenario,
    '--spec-version',
    revision,
  ]);
  return [...findings.values()][0] ?? [];
}

/**
 * Tries the proxy with `--auth oauth` in one scenario of authorization.
 * @param revision - undefined for scenarios of extensions.
 */
export async function tryOAuth(revision: string | undefined, scenario: string): Promise<readonly Check[]> {
  const command = `${process.execPath} ${OAUTH_CLIENT}`;
  const version = revision === undefined ? [] : ['--spec-version', revision];
  const findings = await run('client', ['--command', command, '--scenario', scenario, ...version]);
  return [...findings.values()][0] ?? [];
}
