import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify, stripVTControlCharacters } from 'node:util';
import { BIN_PATH } from '../support/bin-driver.ts';
import { TEST_KEY } from '../support/signing.ts';

const MODULES = join(import.meta.dirname, 'node_modules');

/** Agents come as one program per platform, in packages of which npm installs those that fit this machine. */
export const programOf = (scope: string, name: RegExp, path: string): string | undefined =>
  readdirSync(join(MODULES, scope))
    .filter((entry) => name.test(entry))
    .map((entry) => join(MODULES, scope, entry, path))
    .find(existsSync);

const CREDENTIALS = `[dev]
aws_access_key_id = ${TEST_KEY.accessKeyId}
aws_secret_access_key = ${TEST_KEY.secretAccessKey}
aws_session_token = ${TEST_KEY.sessionToken}
`;

/** The installed command: it starts the bin, pointed at the test's endpoint. */
const installedFor = (endpoint: string): string => `#!/bin/sh
export MCP_PROXY_ENDPOINT='${endpoint}' MCP_PROXY_SERVICE=execute-api MCP_PROXY_REGION=eu-west-1
exec '${process.execPath}' '${BIN_PATH}' "$@"
`;

/** Replaces npx, which would fetch the published package. */
const NPX = `#!/bin/sh
[ "$1 $2" = '-y mcp-sigv4-proxy' ] || exit 64
shift 2
exec mcp-sigv4-proxy "$@"
`;

/** A person's machine as far as an agent sees it: a home with AWS credentials, a project, and no way to the network. */
export class Desk {
  readonly #home: string;
  readonly #program: string;

  private constructor(home: string, program: string) {
    this.#home = home;
    this.#program = program;
  }

  static async set(program: string, endpoint: string): Promise<Desk> {
    const desk = new Desk(await mkdtemp(join(tmpdir(), 'agent-')), program);
    await desk.write('.aws/credentials', CREDENTIALS);
    await desk.write('bin/npx', NPX, 0o755);
    await desk.write('bin/mcp-sigv4-proxy', installedFor(endpoint), 0o755);
    await mkdir(join(desk.#home, 'project'));
    return desk;
  }

  async write(path: string, text: string, mode = 0o644): Promise<void> {
    const file = join(this.#home, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text, { mode });
  }

  /** Returns the output of the agent when it runs in the project. */
  async run(...args: string[]): Promise<string> {
    const { stdout, stderr } = await promisify(execFile)(this.#program, args, {
      cwd: join(this.#home, 'project'),
      env: {
        HOME: this.#home,
        PATH: `${join(this.#home, 'bin')}:/usr/bin:/bin`,
        NO_COLOR: '1',
        // Nothing listens on the discard port: whatever is meant for the network fails at once.
        HTTPS_PROXY: 'http://127.0.0.1:9',
        HTTP_PROXY: 'http://127.0.0.1:9',
        NO_PROXY: '127.0.0.1,localhost',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        GEMINI_CLI_TRUST_WORKSPACE: 'true',
        OPENCODE_DISABLE_AUTOUPDATE: '1',
        OPENCODE_DISABLE_MODELS_FETCH: '1',
        OPENCODE_DISABLE_DEFAULT_PLUGINS: '1',
      },
    });
    // Gemini CLI prints its list on stderr.
    return stripVTControlCharacters(`${stdout}${stderr}`);
  }

  clear(): Promise<void> {
    return rm(this.#home, { recursive: true, force: true });
  }
}
