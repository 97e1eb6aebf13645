import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterThisTest } from '../support/cleanup.ts';
import { installed } from './installed.ts';
import { freePort } from './redis-server.ts';

export const BALANCERS = ['haproxy', 'nginx'] as const;

export type BalancerName = (typeof BALANCERS)[number];

/** The path of a balancer's program, or undefined. */
export const balancerProgram = (name: BalancerName): string | undefined => installed(name, name);

const DEPLOY = join(import.meta.dirname, '../../deploy');

/** The configuration of deploy/ for replicas on loopback. */
export function balancerConfig(
  name: BalancerName,
  port: number,
  replicas: readonly string[],
  folder: string,
): string {
  const file = name === 'haproxy' ? 'haproxy.cfg' : 'nginx.conf';
  let text = readFileSync(join(DEPLOY, file), 'utf8');
  for (const [at, url] of replicas.entries())
    text = text.replaceAll(`proxy-${at + 1}:8080`, new URL(url).host);
  // More replicas than the two of the file: further servers of the same form.
  for (const [at, url] of replicas.entries()) {
    if (at < 2) continue;
    const { host } = new URL(url);
    text =
      name === 'haproxy'
        ? `${text.trimEnd()}\n  server proxy-${at + 1} ${host}\n`
        : text.replace(
            '    keepalive 64;',
            `    server ${host} max_fails=1 fail_timeout=1s;\n    server ${host} backup max_fails=0;\n    keepalive 64;`,
          );
  }
  if (replicas.length < 2) text = text.replace(/^ *server (proxy-2 )?proxy-2:8080.*$/gm, '');
  if (name === 'haproxy') return text.replace('bind :8000', `bind 127.0.0.1:${port}`);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${join(folder, kind)};`,
  );
  return text
    .replace('listen 8000', `listen 127.0.0.1:${port}`)
    .replace('worker_processes auto;', `worker_processes 1;\ndaemon off;\npid ${join(folder, 'nginx.pid')};`)
    .replace('http {', `http {\n${paths.join('\n')}`);
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

export interface RunningBalancer {
  readonly url: string;
  readonly pid: number;
  /** Lines of nginx about calls that failed; retried connections and ended streams are left out. */
  errors(): string[];
  stop(): Promise<void>;
}

/** Debian's HAProxy or nginx with the configuration of deploy/, in front of the replicas. */
export async function startDebianBalancer(
  name: BalancerName,
  replicas: readonly string[],
): Promise<RunningBalancer> {
  const folder = mkdtempSync(join(tmpdir(), `mcp-${name}-`));
  const port = await freePort();
  const file = join(folder, 'balancer.conf');
  writeFileSync(file, balancerConfig(name, port, replicas, folder));
  const args = name === 'haproxy' ? ['-f', file] : ['-c', file, '-e', join(folder, 'error.log')];
  const child: ChildProcess = spawn(balancerProgram(name) ?? name, args, { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  afterThisTest(stop);
  while (!(await isOpen(port))) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const errors = (): string[] => {
    const log = join(folder, 'error.log');
    const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n') : [];
    return lines.filter((line) => line !== '' && !/\(111: |"GET \/mcp/.test(line));
  };
  return { url: `http://127.0.0.1:${port}/mcp`, pid: child.pid ?? 0, errors, stop };
}
