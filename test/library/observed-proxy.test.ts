import { expect, it } from 'vitest';
import {
  createProxy,
  Events,
  McpProxy,
  type ProxyEvent,
  type ProxyHooks,
  parseArguments,
  readSettings,
} from '../../src/library/index.ts';
import { CloudWatchStandIn } from '../support/cloudwatch-stand-in.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingEnv } from '../support/signing.ts';

const AUTH = ['--auth', 'none'];

/** A proxy in this process over a server with sessions. */
async function startLibrary({ args = [], hooks }: { args?: readonly string[]; hooks?: ProxyHooks } = {}) {
  const server = await ScriptedServer.start(new SessionServer().behaviour);
  const outcome = await readSettings(parseArguments([server.url, ...AUTH, ...args]), {});
  if ('problems' in outcome) throw new Error(outcome.problems.join());
  const events = new Events();
  const seen: ProxyEvent[] = [];
  const proxy = new McpProxy(outcome.settings, { events, ...(hooks ? { hooks } : {}) });
  const answers = new Map<unknown, (answer: unknown) => void>();
  const relay = proxy.connect(async (text) => {
    const message = JSON.parse(text) as { id?: unknown };
    answers.get(message.id)?.(message);
  });
  const request = (id: unknown, method: string, params: object = {}): Promise<unknown> => {
    const answered = new Promise((resolve) => answers.set(id, resolve));
    relay.receive(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    return answered;
  };
  const open = async (): Promise<void> => {
    const clientInfo = { name: 'test', version: '1' };
    await request('init', 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
    relay.receive('{"jsonrpc":"2.0","method":"notifications/initialized"}');
  };
  const call = (id: unknown) => request(id, 'tools/call', { name: 'echo', arguments: { text: 'x' } });
  return { proxy, events, seen, open, call };
}

it('the metrics of the library count calls from their first use, and no call before it', async () => {
  const { proxy, events, open, call } = await startLibrary();
  await open();
  await call(0);
  expect(events.observesCalls).toBe(false);
  expect(proxy.metrics.snapshot().profiles[0]).toMatchObject({
    calls: 0,
    cacheHitRate: 0,
    avgBorrowWaitS: 0,
  });
  await call(-1);
  await call('');
  const snapshot = proxy.metrics.snapshot();
  expect(snapshot.profiles[0]).toMatchObject({ calls: 2, callErrors: 0, signatures: 0 });
  expect(snapshot.tools).toMatchObject([{ tool: 'echo', calls: 2, errors: 0 }]);
  expect(proxy.metrics.toPrometheus()).toContain('tool="echo",outcome="ok"} 2\n');
  // A detached copy.
  await call(3);
  expect(snapshot.profiles[0]?.calls).toBe(2);
  await proxy.close();
});

it('publish passes a snapshot to every publisher, and rejects with the first error after all have run', async () => {
  const { proxy } = await startLibrary();
  const published: string[] = [];
  proxy.metrics.addPublisher(async () => {
    published.push('first');
    throw new Error('denied');
  });
  proxy.metrics.addPublisher(async ({ version }) => void published.push(version));
  await expect(proxy.metrics.publish()).rejects.toThrow('denied');
  expect(published).toEqual(['first', '0.1.0']);
  await proxy.close();
});

it('hooks report sessions and borrows of a pool, and a hook that fails only writes a log line', async () => {
  const reported: string[] = [];
  const hooks: ProxyHooks = {
    onSessionCreated: ({ reason }) => {
      reported.push(`created: ${reason}`);
      throw new Error('a broken hook');
    },
    onSessionDestroyed: ({ reason }) => reported.push(`destroyed: ${reason}`),
    onBorrow: async ({ active, idle }) => {
      reported.push(`borrowed: ${active} active, ${idle} idle`);
      throw new Error('a hook that rejects');
    },
    onReturn: ({ broken }) => reported.push(`returned: broken ${broken}`),
  };
  const { proxy, events, open, call } = await startLibrary({ args: ['--max-sessions', '2'], hooks });
  const failures: string[] = [];
  events.subscribe((event) => {
    if (event.type === 'hook.failed') failures.push(`${event.hook}: ${event.message}`);
  });
  await open();
  expect(await call(0)).toHaveProperty('result');
  expect(proxy.debugSnapshot().profiles[0]?.sessions).toMatchObject([
    { state: 'idle', borrowCount: 1, primary: true },
  ]);
  await proxy.close();
  expect(reported).toEqual([
    'created: client',
    'borrowed: 1 active, 0 idle',
    'returned: broken false',
    'destroyed: closed',
  ]);
  expect(failures).toEqual(['onSessionCreated: a broken hook', 'onBorrow: a hook that rejects']);
});

it('publish sends to CloudWatch what was counted since the last time, and again what did not arrive', async () => {
  const server = await ScriptedServer.start(new SessionServer().behaviour);
  const cloudWatch = await CloudWatchStandIn.start();
  const proxy = await createProxy({
    endpoint: server.url,
    service: 'execute-api',
    region: 'eu-west-1',
    cloudwatchNamespace: 'Tools/Library',
    cloudwatchDimensions: ['Stage=beta'],
    env: { ...signingEnv, ...cloudWatch.env },
  });
  const answers = new Map<unknown, () => void>();
  const relay = proxy.connect(async (text) => answers.get(JSON.parse(text).id)?.());
  const request = (id: unknown, method: string, params: object): Promise<void> =>
    new Promise((resolve) => {
      answers.set(id, resolve);
      relay.receive(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  const call = (id: unknown) => request(id, 'tools/call', { name: 'echo', arguments: { text: 'x' } });
  const clientInfo = { name: 'test', version: '1' };
  await request(0, 'initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
  relay.receive('{"jsonrpc":"2.0","method":"notifications/initialized"}');
  await call('');
  // Two at once: the second finds nothing new to count.
  await Promise.all([proxy.metrics.publish(), proxy.metrics.publish()]);
  const counted = () => cloudWatch.sumOf('Calls', { Profile: 'default', Outcome: 'ok', Stage: 'beta' });
  expect(counted()).toBe(2);
  expect(cloudWatch.requests[0]?.namespace).toBe('Tools/Library');
  expect(cloudWatch.requests[0]?.headers.authorization).toContain('/eu-west-1/monitoring/aws4_request');
  await call(-1);
  cloudWatch.error = { status: 403, type: 'AccessDeniedException', message: 'not authorized' };
  await expect(proxy.metrics.publish()).rejects.toThrow('not authorized');
  cloudWatch.error = undefined;
  await proxy.metrics.publish();
  expect(counted()).toBe(3);
  await proxy.close();
});
