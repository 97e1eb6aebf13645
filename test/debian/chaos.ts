import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../support/faults.ts';
import { send } from '../support/http-client.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingVerify } from '../support/signing.ts';
import { startDebianBalancer } from './balancers.ts';
import { canContain, containedBin } from './contained.ts';
import { freePort, RedisServer } from './redis-server.ts';
import { excessiveSeconds, type Replica, startReplica, startTcpRelay, watchStalls } from './sharing.ts';

/** The quota of the AWS MCP Server. */
const RATE = 3;
const BURST = 3;
const REPLICAS = 3;
const CALLERS = 10;
const MAX_CALL_MS = 250;
/** Longer than any wait that the proxy allows: a call without an answer by then hangs. */
const HANG_MS = 120_000;
/** The leases of a killed replica end by themselves after 15 s. */
const LEASES_END_MS = 20_000;
const FAULT_EVERY_MS = 4_000;

export const CHAOS_FAULTS = [
  'replica killed',
  'replica paused',
  'replica replaced',
  'Redis killed',
  'Redis paused',
  'Redis cut off',
] as const;

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly progress?: (text: string) => void;
}

export interface ChaosResult {
  readonly requests: number;
  readonly results: number;
  /** Errors, by their reason or status. */
  readonly errors: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  readonly hangs: number;
  /** Answers with another id, results of calls that did not run once, and calls that ran twice. */
  readonly wrong: readonly string[];
  /** Seconds in which the server received more than limit and burst. */
  readonly excessive: readonly string[];
  readonly throttled: number;
  /** Leases in Redis at the end. */
  readonly leases: number;
}

/** The server: runs calls, counts them, and refuses more than 3 per second like AWS. */
async function startQuotaServer() {
  const ran = new Map<string, number>();
  const arrivals: number[] = [];
  let tokens = BURST;
  let at = performance.now();
  let throttled = 0;
  const server = await ScriptedServer.start(
    async ({ rpc }, response) => {
      const now = performance.now();
      arrivals.push(now);
      tokens = Math.min(BURST, tokens + ((now - at) / 1_000) * RATE);
      at = now;
      // The network delays requests differently, so that two may arrive closer than they were sent.
      if (tokens < 0.5) {
        throttled++;
        response.setHeader('retry-after', '1');
        sendJson(response, 429, { message: 'Too Many Requests' });
        return;
      }
      tokens--;
      const { token } = (rpc.params as { arguments: { token: string } }).arguments;
      ran.set(token, (ran.get(token) ?? 0) + 1);
      await sleep(MAX_CALL_MS * Math.random());
      sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: { content: [], token } });
    },
    { verify: signingVerify },
  );
  return { url: server.url, ran, arrivals, throttled: () => throttled };
}

/** Three replicas behind HAProxy with one limit in Redis, under faults drawn from the seed. */
export async function runChaos({
  seconds,
  seed,
  progress = () => undefined,
}: ChaosOptions): Promise<ChaosResult> {
  const random = seededRandom(seed);
  const stalls = watchStalls();
  const server = await startQuotaServer();
  const redis = await RedisServer.start();
  const relay = await startTcpRelay(redis.port);
  const limits = `redis://127.0.0.1:${relay.port}`;
  const args = [
    ...['--rate-limit', `${RATE}`, '--rate-burst', `${BURST}`, '--limit-replicas', `${REPLICAS}`],
    ...['--max-concurrent', '4', '--queue-size', '50', '--queue-timeout', '20', '--drain-delay', '4'],
  ];
  const ports = await Promise.all(Array.from({ length: REPLICAS }, freePort));
  const program = canContain() ? containedBin() : undefined;
  const start = (port: number): Promise<Replica> =>
    startReplica(server.url, limits, args, {}, `127.0.0.1:${port}`, program);
  const replicas = await Promise.all(ports.map(start));
  const balancer = await startDebianBalancer(
    'haproxy',
    replicas.map(({ url }) => url),
  );
  await sleep(1_500);

  const errors: Record<string, number> = {};
  const faults: Record<string, number> = {};
  const wrong: string[] = [];
  let requests = 0;
  let results = 0;
  let hangs = 0;
  let stopped = false;
  const call = async (): Promise<void> => {
    const number = requests++;
    const token = `t${number}`;
    const id = number % 3 === 0 ? -number : number % 3 === 1 ? number : token;
    const body = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'mark', arguments: { token } } };
    const late = new AbortController();
    const hang = sleep(HANG_MS, 'hang' as const, { signal: late.signal }).catch(() => 'hang' as const);
    const asked = send(balancer.url, { body }).catch(
      (error: Error & { code?: string }) => `${error.code ?? error.message}`,
    );
    const answer = await Promise.race([asked, hang]);
    late.abort();
    if (answer === 'hang') {
      hangs++;
      return;
    }
    const times = server.ran.get(token) ?? 0;
    const json =
      typeof answer === 'string'
        ? undefined
        : (answer.json as
            | { id?: unknown; result?: unknown; error?: { data?: { reason?: string }; message?: string } }
            | undefined);
    if (json?.result !== undefined) {
      results++;
      if (json.id !== id || times !== 1) wrong.push(`${token}: id ${String(json.id)}, ran ${times} times`);
      return;
    }
    const status = typeof answer === 'string' ? answer : answer.status;
    const reason = json?.error?.data?.reason ?? json?.error?.message ?? 'no message';
    const name = typeof answer === 'string' ? answer : `${status} ${json ? reason : ''}`.trim();
    errors[name] = (errors[name] ?? 0) + 1;
    // A client that is refused waits before it calls again.
    await sleep(200);
  };
  const callers = Array.from({ length: CALLERS }, async () => {
    while (!stopped) await call();
  });

  const replace = async (at: number, signal: NodeJS.Signals): Promise<void> => {
    const old = replicas[at];
    old?.bin.kill(signal);
    await old?.bin.exited;
    await sleep(500);
    replicas[at] = await start(ports[at] ?? 0);
    await sleep(1_500);
  };
  const inject = async (fault: (typeof CHAOS_FAULTS)[number]): Promise<void> => {
    const at = Math.floor(random() * REPLICAS);
    const ms = 1_000 + random() * 4_000;
    switch (fault) {
      case 'replica killed':
        return replace(at, 'SIGKILL');
      case 'replica replaced':
        return replace(at, 'SIGTERM');
      case 'replica paused':
        replicas[at]?.bin.kill('SIGSTOP');
        await sleep(ms * 3);
        replicas[at]?.bin.kill('SIGCONT');
        return;
      case 'Redis killed':
        await redis.kill();
        await sleep(ms);
        return redis.restart();
      case 'Redis paused':
        redis.pause();
        await sleep(ms);
        return redis.resume();
      case 'Redis cut off':
        relay.cut();
        await sleep(ms);
        return relay.heal();
    }
  };
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) {
    await sleep(Math.min(FAULT_EVERY_MS * random(), Math.max(0, until - performance.now())));
    const fault = CHAOS_FAULTS[Math.floor(random() * CHAOS_FAULTS.length)] ?? 'replica killed';
    faults[fault] = (faults[fault] ?? 0) + 1;
    progress(
      `${Math.round((until - performance.now()) / 1_000)} s left: ${fault}; ${requests} requests, ${results} results`,
    );
    await inject(fault);
  }
  stopped = true;
  await Promise.all(callers);
  for (const [token, times] of server.ran) if (times > 1) wrong.push(`${token} ran ${times} times`);
  const leases = (): number =>
    redis
      .cli('keys', '*:leases')
      .split('\n')
      .filter(Boolean)
      .reduce((sum, key) => sum + Number(redis.cli('zcount', key, `${Date.now() * 1_000}`, '+inf')), 0);
  const end = performance.now() + LEASES_END_MS;
  while (leases() > 0 && performance.now() < end) await sleep(500);
  const result = {
    requests,
    results,
    errors,
    faults,
    hangs,
    wrong,
    excessive: excessiveSeconds(server.arrivals, { rate: RATE, burst: BURST, stalls }),
    throttled: server.throttled(),
    leases: leases(),
  };
  return result;
}

/** The broken rules of a result; empty where all hold. */
export function chaosProblems(result: ChaosResult): string[] {
  const { hangs, wrong, excessive, leases, requests, results } = result;
  return [
    ...(hangs > 0 ? [`${hangs} requests without an answer`] : []),
    ...wrong,
    ...excessive,
    ...(leases > 0 ? [`${leases} leases left`] : []),
    ...(results < requests / 4 ? [`only ${results} results of ${requests} requests`] : []),
  ];
}
