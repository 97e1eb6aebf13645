import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { startListener } from '../support/listening.ts';
import { logged, untilLogged } from '../support/workers.ts';
import { balancerProgram, startDebianBalancer } from './balancers.ts';
import { canContain, containedBin } from './contained.ts';
import { hasRedis, RedisServer } from './redis-server.ts';

/** `npm run fleet -- --replicas 1,2,4` sets it. */
const countsIn = (list = ''): number[] => list.split(',').filter(Boolean).map(Number);
const REPLICAS = countsIn(process.env.FLEET_REPLICAS);
/** `npm run fleet -- --workers 1,2` sets it. */
const WORKERS = countsIn(process.env.FLEET_WORKERS);
const CONNECTIONS = 64;
const WARM_UP_MS = 2_000;
const MEASURED_MS = 6_000;

const child = async (
  name: string,
  env: Record<string, string> = {},
): Promise<{ process: ChildProcess; message: never }> => {
  const started = fork(join(import.meta.dirname, 'load', name), { env: { ...process.env, ...env } });
  afterThisTest(() => void started.kill('SIGKILL'));
  const message = await new Promise<never>((resolve) => started.once('message', resolve as () => void));
  return { process: started, message };
};

/** CPU seconds that a process has used. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

interface Load {
  readonly calls: number;
  readonly failed: number;
  readonly p99: number;
}

async function measure(url: string, pids: readonly number[]): Promise<Load & { readonly cpuMs: number }> {
  const loadOf = async (ms: number): Promise<Load> => {
    const env = { LOAD_URL: url, LOAD_MS: `${ms}`, LOAD_CONNECTIONS: `${CONNECTIONS}` };
    return (await child('client.mjs', env)).message;
  };
  await loadOf(WARM_UP_MS);
  const before = pids.map(cpuOf);
  const load = await loadOf(MEASURED_MS);
  const cpu = pids.reduce((sum, pid, at) => sum + cpuOf(pid) - (before[at] ?? 0), 0);
  return { ...load, cpuMs: (cpu * 1_000) / load.calls };
}

const row = (name: string, { calls, failed, p99, cpuMs }: Load & { readonly cpuMs: number }): string =>
  `| ${name} | ${Math.round((calls * 1_000) / MEASURED_MS)} | ${p99.toFixed(1)} | ${(cpuMs * 1_000).toFixed(0)} | ${failed} |`;

it.skipIf(REPLICAS.length === 0 || !hasRedis || !balancerProgram('haproxy'))(
  'a fleet of replicas carries load behind HAProxy, and the table shows its cost per call',
  async () => {
    const { message: server } = (await child('server.mjs')) as { message: { url: string } };
    const program = canContain() ? containedBin() : undefined;
    const rows = ['| through | calls/s | p99 ms | CPU us per call | failed |', '|---|---|---|---|---|'];
    const alone = await startDebianBalancer('haproxy', [server.url]);
    rows.push(row('HAProxy alone (HAProxy)', await measure(alone.url, [alone.pid])));
    await alone.stop();
    for (const limited of [false, true]) {
      const redis = limited ? await RedisServer.start() : undefined;
      const limits = redis
        ? ['--limits', `redis://127.0.0.1:${redis.port}`, '--rate-limit', '100000', '--rate-burst', '100000']
        : [];
      for (const count of REPLICAS) {
        const args = ['--max-connections', '64', '--max-clients', '1024', ...limits];
        const replicas = await Promise.all(
          Array.from({ length: count }, () => startListener(server.url, { args, program })),
        );
        const balancer = await startDebianBalancer(
          'haproxy',
          replicas.map(({ url }) => url),
        );
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        const pids = replicas.map(({ bin }) => bin.child.pid ?? 0);
        const measured = await measure(balancer.url, pids);
        rows.push(row(`${count} replicas${limited ? ', shared rate limit' : ''} (replicas)`, measured));
        expect(measured.failed).toBe(0);
        await balancer.stop();
        for (const { bin } of replicas) await bin.dispose();
      }
      if (redis) {
        const commands = /total_commands_processed:(\d+)/.exec(redis.cli('info', 'stats'))?.[1];
        rows.push(
          `Redis: ${commands} commands, ${/used_memory_human:(\S+)/.exec(redis.cli('info', 'memory'))?.[1]}`,
        );
      }
    }
    process.stderr.write(`${rows.join('\n')}\n`);
  },
  600_000,
);

it.skipIf(WORKERS.length === 0)(
  'workers carry load on one address, and the table shows their cost per call beside one process',
  async () => {
    const { message: server } = (await child('server.mjs')) as { message: { url: string } };
    const rows = ['| through | calls/s | p99 ms | CPU us per call | failed |', '|---|---|---|---|---|'];
    for (const limited of [false, true]) {
      const limits = limited ? ['--rate-limit', '100000', '--rate-burst', '100000'] : [];
      for (const count of [0, ...WORKERS]) {
        const workers = count === 0 ? [] : ['--workers', String(count)];
        const args = ['--max-connections', '64', '--max-clients', '1024', ...limits, ...workers];
        const { url, bin } = await startListener(server.url, { args });
        await untilLogged(bin, 'listener.opened', Math.max(1, count));
        const started = logged(bin, 'worker.started').map(({ workerPid = 0 }) => workerPid);
        const measured = await measure(url, [bin.child.pid ?? 0, ...started]);
        const name = count === 0 ? 'one process' : `${count} workers and their primary process`;
        rows.push(row(`${name}${limited ? ', rate limit' : ''}`, measured));
        expect(measured.failed).toBe(0);
        bin.kill();
        await bin.exit();
      }
    }
    process.stderr.write(`${rows.join('\n')}\n`);
  },
  600_000,
);
