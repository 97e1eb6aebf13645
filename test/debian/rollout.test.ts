import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { send } from '../support/http-client.ts';
import { startListener } from '../support/listening.ts';
import { EventWriter } from '../support/mcp-answers.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { connectClientV1 } from '../support/sdk-clients.ts';
import { signingVerify } from '../support/signing.ts';
import { BALANCERS, type BalancerName, balancerProgram, startDebianBalancer } from './balancers.ts';
import { type RolloutOptions, type RolloutResult, runRollouts } from './rollout.ts';

/** `npm run rollouts` sets 20. */
const ROLLOUTS = Number(process.env.ROLLOUTS ?? 1);

/** `npm run rollouts` shows the numbers of each run. */
async function run(options: RolloutOptions): Promise<RolloutResult> {
  const result = await runRollouts(options);
  const { calls, failed, wrong } = result;
  const numbers = `${calls} calls, ${failed.length} failed, ${wrong.length} lost or run twice`;
  const { balancer, signal, replacements } = options;
  if (ROLLOUTS > 1) process.stderr.write(`${balancer}, ${replacements} replicas by ${signal}: ${numbers}\n`);
  return result;
}

const available = BALANCERS.filter((name) => balancerProgram(name));

it.each(available)(
  'behind %s, replacing both replicas with SIGTERM fails no call of SDK clients',
  async (balancer: BalancerName) => {
    const { calls, failed, wrong, balancerErrors } = await run({
      balancer,
      signal: 'SIGTERM',
      replacements: 2 * ROLLOUTS,
    });
    expect({ failed, wrong, balancerErrors }).toEqual({ failed: [], wrong: [], balancerErrors });
    expect(calls).toBeGreaterThan(400);
  },
  120_000 * ROLLOUTS,
);

it.each(available)(
  'behind %s, a replica that is killed loses no call silently and none runs twice',
  async (balancer: BalancerName) => {
    const { calls, failed, wrong } = await run({
      balancer,
      signal: 'SIGKILL',
      replacements: 2 * ROLLOUTS,
    });
    expect(wrong).toEqual([]);
    // Calls in flight on the killed replica, and no others.
    expect(failed.length).toBeLessThanOrEqual(2 * ROLLOUTS * 12);
    expect(calls).toBeGreaterThan(400);
  },
  120_000 * ROLLOUTS,
);

it.each(available)(
  'behind %s, the stream of a session that a rollout cuts resumes on another replica without a gap',
  async (balancer) => {
    let sent = 0;
    const open = new Set<EventWriter>();
    const resumedFrom: unknown[] = [];
    const message = (at: number) => ({
      jsonrpc: '2.0' as const,
      method: 'notifications/message',
      params: { level: 'info', data: at },
    });
    const session = new SessionServer({
      on: {
        GET: (request, response) => {
          const last = request.headers['last-event-id'];
          if (last !== undefined) resumedFrom.push(Number(last));
          const writer = new EventWriter(response);
          writer.prime(String(last ?? sent - 1), 10);
          for (let at = last === undefined ? sent : Number(last) + 1; at < sent; at++)
            writer.send(message(at), `${at}`);
          open.add(writer);
          response.on('close', () => open.delete(writer));
        },
      },
    });
    const server = await ScriptedServer.start(session.behaviour, { verify: signingVerify });
    const args = ['--drain-delay', '4', '--drain-timeout', '0.5'];
    const replicas = [await startListener(server.url, { args }), await startListener(server.url, { args })];
    const { url } = await startDebianBalancer(
      balancer,
      replicas.map((each) => each.url),
    );
    await expect
      .poll(() => send(new URL('/readyz', url).href, { method: 'GET' }).then(({ status }) => status))
      .toBe(200);
    const client = await connectClientV1(url);
    await expect.poll(() => open.size).toBe(1);
    const emit = (): void => {
      for (const writer of open) writer.send(message(sent), `${sent}`);
      sent++;
    };
    const timer = setInterval(emit, 50);
    afterThisTest(() => clearInterval(timer));
    await client.hears('log 5');
    // Whichever carries the stream: a replica leaves, comes back, and the other leaves.
    for (const old of replicas) {
      const before = sent;
      old.bin.kill('SIGTERM');
      await old.bin.exit();
      await client.hears(`log ${before + 100}`);
      await startListener(server.url, { args, listen: new URL(old.url).host });
      await sleep(2_500);
    }
    clearInterval(timer);
    await client.hears(`log ${sent - 1}`);
    expect(client.received.filter((text) => text.startsWith('log '))).toEqual(
      Array.from({ length: sent }, (_, at) => `log ${at}`),
    );
    expect(resumedFrom.length).toBeGreaterThanOrEqual(1);
  },
);
