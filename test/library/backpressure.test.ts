import { InMemoryTransport } from '@modelcontextprotocol/client';
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
import { CallToolRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { Server as ServerV2 } from '@modelcontextprotocol/server';
import { expect, it } from 'vitest';
import {
  Backpressure,
  type BackpressureOptions,
  OptionsError,
  type Overload,
  withBackpressure,
} from '../../src/library/index.ts';
import { FakeClock } from '../support/fake-clock.ts';

const INFO = { name: 'server', version: '1' };
const CAPABILITIES = { capabilities: { tools: {} } };

/** A server whose calls end when the test says so, and a raw client. */
async function start(generation: 'v1' | 'v2', limits: BackpressureOptions | Backpressure) {
  const running: { name: string; finish: (text?: string) => void; fail: (error: Error) => void }[] = [];
  const run = (name: string) =>
    new Promise<{ content: { type: 'text'; text: string }[] }>((resolve, reject) => {
      const finish = (text = 'done') => resolve({ content: [{ type: 'text', text }] });
      running.push({ name, finish, fail: reject });
    });
  const [theirs, ours] = InMemoryTransport.createLinkedPair();
  let backpressure: Backpressure;
  if (generation === 'v1') {
    const server = new ServerV1(INFO, CAPABILITIES);
    server.setRequestHandler(CallToolRequestSchema, ({ params }) => run(params.name));
    backpressure = withBackpressure(server, limits);
    await server.connect(ours as Parameters<typeof server.connect>[0]);
  } else {
    const server = new ServerV2(INFO, CAPABILITIES);
    server.setRequestHandler('tools/call', ({ params }) => run(params.name));
    backpressure = withBackpressure(server, limits);
    await server.connect(ours);
  }
  const answers = new Map<unknown, Record<string, unknown>>();
  theirs.onmessage = (message) => void answers.set((message as { id?: unknown }).id, message as never);
  await theirs.start();
  const call = (id: string | number, name = 'x') =>
    theirs.send({ jsonrpc: '2.0', id, method: 'tools/call', params: { name } });
  const cancel = (requestId: string | number) =>
    theirs.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } });
  return { backpressure, running, answers, call, cancel, theirs, ours };
}

/** Lets all messages arrive that are on their way in this process. */
async function turn(): Promise<void> {
  for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setImmediate(resolve));
}

it.each(['v1', 'v2'] as const)(
  'a server of SDK %s answers an overload with the exact error, and other messages pass',
  async (generation) => {
    const seen: Overload[] = [];
    const { call, answers, running, theirs, backpressure } = await start(generation, {
      maxConcurrent: 1,
      queueSize: 1,
      onOverload: (overload) => {
        seen.push(overload);
        throw new Error('ignored');
      },
    });
    await call(0);
    await call('');
    await call(-1);
    await turn();
    expect(answers.get(-1)).toEqual({
      jsonrpc: '2.0',
      id: -1,
      error: {
        code: -32001,
        message: 'SERVER_OVERLOADED',
        data: {
          reason: 'queue_full',
          active: 1,
          queued: 1,
          max_concurrent: 1,
          queue_size: 1,
          queue_timeout_ms: 30_000,
          retry_after_ms: 1_000,
        },
      },
    });
    expect(seen).toMatchObject([{ reason: 'queue_full', scope: 'server', tool: 'x', active: 1, queued: 1 }]);
    await theirs.send({ jsonrpc: '2.0', id: 7, method: 'ping' });
    await turn();
    expect(answers.get(7)).toMatchObject({ result: {} });
    expect(running.length).toBe(1);
    // An error of the handler, also a timeout of its own, passes unchanged and frees the place.
    running[0]?.fail(new Error('timed out'));
    await turn();
    expect(answers.get(0)).toMatchObject({ error: { code: -32603 } });
    expect(running.length).toBe(2);
    running[1]?.finish();
    await turn();
    expect(answers.get('')).toMatchObject({ result: { content: [{ text: 'done' }] } });
    expect(backpressure.metrics()).toEqual({
      active: 0,
      queued: 0,
      totalRejected: 1,
      rejectedConcurrencyLimit: 0,
      rejectedQueueFull: 1,
      rejectedQueueTimeout: 0,
    });
  },
);

it.each([
  ['never ends', () => new Promise(() => undefined)],
  ['rejects', () => Promise.reject(new Error('ignored'))],
])('an onOverload that %s delays no refusal', async (_how, onOverload) => {
  const { call, answers } = await start('v2', { maxConcurrent: 1, onOverload });
  await call(0);
  await call(1);
  await turn();
  expect(answers.get(1)).toMatchObject({ error: { data: { reason: 'concurrency_limit' } } });
});

it('a call that waits too long is refused and never runs, and a cancelled one leaves the queue', async () => {
  const clock = new FakeClock();
  const { call, cancel, answers, running, backpressure } = await start('v2', {
    maxConcurrent: 1,
    queueSize: 2,
    queueTimeout: 2,
    clock,
  });
  await call(1);
  await call(2);
  await call(3);
  await turn();
  await cancel(2);
  await turn();
  expect([backpressure.active, backpressure.queued]).toEqual([1, 1]);
  await clock.advance(2_000);
  await turn();
  expect(answers.get(3)).toMatchObject({ error: { data: { reason: 'queue_timeout', queued: 0 } } });
  // A place that is granted and cancelled in one turn is free, and its call never runs.
  await call(4);
  await Promise.all([cancel(1), cancel(4)]);
  await turn();
  expect([backpressure.active, running.length]).toEqual([0, 1]);
  // The place of a cancelled call is free at once.
  await cancel(1);
  await turn();
  expect(backpressure.active).toBe(0);
  for (let id = 10; id < 20; id++) {
    await call(id);
    await cancel(id);
  }
  await call(30);
  await turn();
  running.at(-1)?.finish();
  await turn();
  expect(answers.get(30)).toMatchObject({ result: {} });
  expect([answers.has(2), backpressure.active, backpressure.queued]).toEqual([false, 0, 0]);
});

it('limits of a tool and of a client apply beside the limit of the server, also over several servers', async () => {
  const limits = new Backpressure({
    maxConcurrent: 3,
    tools: { slow: { maxConcurrent: 1 } },
    perClient: { maxConcurrent: 2 },
    clientOf: ({ id }: { id?: unknown }) => String(id).charAt(0),
  } as BackpressureOptions);
  const one = await start('v1', limits);
  const other = await start('v2', limits);
  await one.call('a1', 'slow');
  await other.call('b1', 'slow');
  await one.call('a2');
  await other.call('a3');
  await other.call('b2');
  await one.call('c1');
  await turn();
  const reasonOf = (answer: unknown) => (answer as { error?: { data: unknown } } | undefined)?.error?.data;
  expect(reasonOf(other.answers.get('b1'))).toMatchObject({ max_concurrent: 1, active: 1 });
  expect(reasonOf(other.answers.get('a3'))).toMatchObject({ max_concurrent: 2, active: 2 });
  expect(reasonOf(one.answers.get('c1'))).toMatchObject({ max_concurrent: 3, active: 3 });
  for (const { finish } of [...one.running, ...other.running]) finish();
  await turn();
  expect([limits.active, limits.metrics().totalRejected]).toEqual([0, 3]);
});

it('a connection that closes frees the places of its calls', async () => {
  const { call, theirs, backpressure } = await start('v1', { maxConcurrent: 1, queueSize: 5 });
  await call(0);
  await call(1);
  await turn();
  await theirs.close();
  await turn();
  expect([backpressure.active, backpressure.queued]).toEqual([0, 0]);
});

it('invalid limits of backpressure are reported together, each by its name', () => {
  const create = () =>
    new Backpressure({
      maxConcurrent: 0,
      queueSize: -1,
      queueTimeout: 0,
      tools: { x: { maxConcurrent: 1.5 } },
    });
  expect(create).toThrow(OptionsError);
  expect(create).toThrow(/maxConcurrent must be .* >= 1.*queueSize.*queueTimeout.*tools\.x\.maxConcurrent/);
});

it.each([
  [{ queuSize: 1 }, 'queuSize', 'did you mean queueSize'],
  [{ clientOf: 'x' }, 'clientOf', 'a function'],
  [{ onOverload: 1 }, 'onOverload', 'a function'],
  [{ overloadErrorCode: 0.5 }, 'overloadErrorCode', 'an integer'],
])('backpressure refuses %j with the field %s', (options, field, allowed) => {
  const create = () => new Backpressure({ maxConcurrent: 1, ...options } as BackpressureOptions);
  expect(create).toThrow(expect.objectContaining({ problems: [expect.objectContaining({ field })] }));
  expect(create).toThrow(allowed);
});

it.each([
  [
    'throws',
    () => {
      throw new Error('a secret');
    },
    'clientOf threw: a secret',
  ],
  ['returns a number', () => 5 as never, 'clientOf must return a string'],
])(
  'where clientOf %s, the call is answered with an error and the server reports the option',
  async (_how, clientOf, message) => {
    const limits = { maxConcurrent: 1, clientOf };
    const { call, answers, running, backpressure, ours, theirs } = await start('v2', limits);
    const errors: unknown[] = [];
    ours.onerror = (error) => errors.push(error);
    await call(0);
    await turn();
    expect(answers.get(0)).toMatchObject({
      error: { code: -32603, message: expect.stringContaining('did not run') },
    });
    expect(JSON.stringify(answers.get(0))).not.toContain('secret');
    expect(errors).toMatchObject([{ name: 'OptionsError', problems: [{ field: 'clientOf', message }] }]);
    expect([running.length, backpressure.active]).toEqual([0, 0]);
    await theirs.send({ jsonrpc: '2.0', id: 1, method: 'ping' });
    await turn();
    expect(answers.get(1)).toMatchObject({ result: {} });
  },
);
