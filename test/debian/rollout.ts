import { setTimeout as sleep } from 'node:timers/promises';
import { afterThisTest } from '../support/cleanup.ts';
import { type Listening, startListener } from '../support/listening.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { connectClientV1, connectClientV2, type RealClient } from '../support/sdk-clients.ts';
import { signingVerify } from '../support/signing.ts';
import { type BalancerName, startDebianBalancer } from './balancers.ts';
import { freePort } from './redis-server.ts';

/** Longer than HAProxy of deploy/haproxy.cfg needs to see that a replica leaves (3 s). */
const DRAIN_DELAY_S = 4;
const CALL_MS = 20;
const CALLERS_PER_CLIENT = 3;

export interface RolloutOptions {
  readonly balancer: BalancerName;
  readonly signal: 'SIGTERM' | 'SIGKILL';
  /** Replicas that are replaced, one after the other. */
  readonly replacements: number;
  readonly replicas?: number;
}

export interface RolloutResult {
  readonly calls: number;
  /** The errors that clients received. */
  readonly failed: readonly string[];
  /** Calls with a result that did not run exactly once, and calls that ran twice. */
  readonly wrong: readonly string[];
  /** Lines of nginx about failed calls. */
  readonly balancerErrors: readonly string[];
}

/** The token of a call, which the server counts. */
const tokenOf = (params: unknown): string =>
  String((params as { arguments?: { token?: unknown } }).arguments?.token);

/**
 * Replaces replicas under load of clients of both SDK generations, behind a balancer of Debian with
 * the configuration of deploy/.
 */
export async function runRollouts({
  balancer: name,
  signal,
  replacements,
  replicas: count = 2,
}: RolloutOptions): Promise<RolloutResult> {
  const ran = new Map<string, number>();
  const session = new SessionServer({
    on: {
      'tools/call': async ({ rpc }, _response, { result }) => {
        const token = tokenOf(rpc.params);
        ran.set(token, (ran.get(token) ?? 0) + 1);
        await sleep(CALL_MS);
        result({ content: [{ type: 'text', text: token }] });
      },
    },
  });
  // A server that closes idle connections on a busy machine would cut calls that no rollout cuts.
  const server = await ScriptedServer.start(session.behaviour, {
    verify: signingVerify,
    keepAliveTimeoutMs: 300_000,
  });
  const args = ['--max-connections', '32', '--drain-delay', `${DRAIN_DELAY_S}`];
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  const start = (port: number): Promise<Listening> =>
    startListener(server.url, { args, listen: `127.0.0.1:${port}` });
  const replicas = await Promise.all(ports.map(start));
  const balancer = await startDebianBalancer(
    name,
    replicas.map(({ url }) => url),
  );
  // HAProxy knows a replica from its first successful check on.
  await sleep(1_500);
  const clients = await Promise.all([
    connectClientV1(balancer.url),
    connectClientV2(balancer.url, 'legacy'),
    connectClientV1(balancer.url),
    connectClientV2(balancer.url, 'legacy'),
  ]);
  const failed: string[] = [];
  const wrong: string[] = [];
  let calls = 0;
  let stopped = false;
  // Calls of a test that has failed would fail at once, and never let the event loop continue.
  afterThisTest(() => {
    stopped = true;
  });
  const call = async (client: RealClient): Promise<void> => {
    const token = `t${calls++}`;
    const text = await client.call('mark', { token }).catch((error: Error) => {
      failed.push(`${token}: ${error.message}`);
      return undefined;
    });
    const times = ran.get(token) ?? 0;
    if (text === undefined ? times > 1 : text !== token || times !== 1)
      wrong.push(`${token} answered ${text}, ran ${times} times`);
  };
  const callers = clients.flatMap((client) =>
    Array.from({ length: CALLERS_PER_CLIENT }, async () => {
      while (!stopped) await call(client);
    }),
  );
  const load = async (more: number): Promise<void> => {
    const until = calls + more;
    while (calls < until) await sleep(20);
  };
  for (let at = 0; at < replacements; at++) {
    await load(100);
    const place = at % count;
    const old = replicas[place];
    old?.bin.kill(signal);
    await old?.bin.exit();
    await load(20);
    replicas[place] = await start(ports[place] ?? 0);
    // The next replica leaves only when the balancer uses this one.
    await sleep(2_500);
  }
  await load(100);
  stopped = true;
  await Promise.all(callers);
  for (const [token, times] of ran) if (times > 1) wrong.push(`${token} ran ${times} times`);
  await Promise.all(clients.map((client) => client.close()));
  const balancerErrors = balancer.errors();
  await balancer.stop();
  for (const { bin } of replicas) await bin.dispose();
  await server.close();
  return { calls, failed, wrong, balancerErrors };
}
