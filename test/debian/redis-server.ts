import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterThisTest } from '../support/cleanup.ts';
import { listenOnLoopback } from '../support/connections.ts';

export const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenOnLoopback(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface RedisOptions {
  /** By default a free one; a server that is started again keeps it. */
  readonly port?: number;
  /** Further flags of redis-server. */
  readonly args?: readonly string[];
  /** Lines of a configuration file, which Sentinel and Cluster need. */
  readonly config?: readonly string[];
  readonly sentinel?: boolean;
}

/** Debian's redis-server without persistence, on a port that stays the same over restarts. */
export class RedisServer {
  readonly port: number;
  readonly #options: RedisOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'mcp-redis-'));
  #child: ChildProcess | undefined;

  private constructor(options: RedisOptions, port: number) {
    this.#options = options;
    this.port = port;
  }

  static async start(options: RedisOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(options, options.port ?? (await freePort()));
    afterThisTest(async () => {
      await server.kill();
      rmSync(server.#folder, { recursive: true, force: true });
    });
    await server.restart();
    return server;
  }

  /** Starts it, again where it was killed. */
  async restart(): Promise<void> {
    await this.kill();
    const { args = [], config = [], sentinel = false } = this.#options;
    const file = join(this.#folder, 'redis.conf');
    writeFileSync(file, `${config.join('\n')}\n`);
    const own = sentinel ? ['--sentinel'] : ['--save', '', '--appendonly', 'no'];
    const child = spawn('redis-server', [
      ...[file, '--port', `${this.port}`, '--bind', '127.0.0.1', '--dir', this.#folder],
      ...own,
      ...args,
    ]);
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      let log = '';
      child.stdout.on('data', (chunk: Buffer) => {
        log += chunk;
        if (/Ready to accept connections|Sentinel ID is/.test(log)) resolve();
      });
      child.once('exit', () => reject(new Error(`redis-server ended:\n${log}`)));
    });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const closed = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await closed;
  }

  /** SIGSTOP: connections stay open, and nothing answers. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Runs one command with redis-cli. @returns what it prints. */
  cli(...args: readonly string[]): string {
    const { stdout, stderr } = spawnSync('redis-cli', ['-p', `${this.port}`, ...args]);
    return `${stdout}${stderr}`.trim();
  }
}
