import { Client } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import {
  type CreateProxyOptions,
  createProxy,
  createSigV4Fetch,
  Events,
  type Layer,
  type ProxyEvent,
  SigV4ClientTransport,
  withReadableAnswer,
  withResult,
} from '../../src/library/index.ts';
import { programProblems } from '../../src/library/program-problems.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';

const SIGNED = { service: 'execute-api', region: 'eu-west-1' } as const;
const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'a-secret-of-the-program' };

/** A client of the SDK over a proxy of the library, in front of a server with sessions. */
async function start(options: CreateProxyOptions = {}) {
  const server = await ScriptedServer.start(new SessionServer().behaviour);
  const proxy = await createProxy({ endpoint: server.url, ...SIGNED, credentials: KEYS, ...options });
  afterThisTest(() => proxy.close());
  const client = new Client({ name: 'test', version: '1' });
  const connect = () => client.connect(new SigV4ClientTransport(proxy));
  const echo = (text: string) => client.callTool({ name: 'echo', arguments: { text } });
  return { server, proxy, client, connect, echo };
}

const textOf = (result: unknown) => (result as { content: { text: string }[] }).content[0]?.text;

it('a proxy with limits serves calls alone while Redis cannot be reached, and its close ends the attempts', async () => {
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => void seen.push(event));
  const limits = 'redis://127.0.0.1:9';
  const { connect, echo, proxy } = await start({ limits, rateLimit: 100, maxConcurrent: 2, events });
  await connect();
  expect(textOf(await echo('x'))).toContain('x');
  expect(seen.filter(({ type }) => type === 'limits.local')).toHaveLength(1);
  await proxy.close();
});

describe('credentials that a program fails to provide', () => {
  const failing: readonly [string, CreateProxyOptions['credentials'], RegExp][] = [
    [
      'throws',
      () => {
        throw new Error('vault is sealed');
      },
      /option credentials failed: vault is sealed\./,
    ],
    ['rejects', () => Promise.reject(new Error('no token')), /option credentials failed: no token\./],
    [
      'returns rubbish',
      (() => 'AKID') as never,
      /option credentials failed: its value cannot sign: it must be an object/,
    ],
  ];
  it.each(failing)(
    'the error of a credentials function that %s names the option',
    async (_what, credentials, expected) => {
      const { connect } = await start({ credentials });
      await expect(connect()).rejects.toThrow(expected);
      const { server } = await start();
      const signedFetch = createSigV4Fetch({ ...SIGNED, credentials });
      afterThisTest(() => signedFetch.close());
      await expect(signedFetch(server.url)).rejects.toThrow(expected);
      expect(server.requests).toEqual([]);
    },
  );
});

it('a logger gets events by severity and without secrets, and one that fails has no effect', async () => {
  const lines: string[] = [];
  const write = (level: string) => (message: string, fields: object) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    if (level === 'info') throw new Error('a broken logger');
    return Promise.reject(new Error('a logger that rejects'));
  };
  const logger = {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
  };
  const { connect, echo } = await start({
    logger,
    credentials: { ...KEYS, sessionToken: 'a-token-of-the-program' },
  });
  await connect();
  expect(textOf(await echo('x'))).toContain('x');
  const text = lines.join('\n');
  expect(text).toMatch(/^info session\.opened \{/m);
  expect(text).toMatch(/^debug http\.request \{/m);
  expect(text).not.toMatch(/^\w+ (?:message\.|secret\.)/m);
  expect(text).not.toContain('of-the-program');
});

it('a logger without debug costs no event of each message', async () => {
  const events = new Events();
  const { connect } = await start({ events, logger: { info: () => undefined } });
  await connect();
  expect([events.detailed, events.observesCalls]).toEqual([false, false]);
});

it('layers before see the call as the client sent it, layers after see each attempt, and either may edit', async () => {
  const order: string[] = [];
  const layer =
    (name: string): Layer =>
    (next) =>
    async (call) => {
      const { message } = call;
      if (message.kind !== 'request' || message.method !== 'tools/call') return next(call);
      const meta = (message.json.params as { _meta?: object })._meta ?? {};
      order.push(`${name}: ${'k' in meta ? 'with' : 'without'} metadata`);
      const reply = await next(withReadableAnswer(call));
      if (reply.kind !== 'answer') return reply;
      const { content } = reply.message.json.result as { content: { text: string }[] };
      const text = `${name}(${content[0]?.text})`;
      return { ...reply, message: withResult(reply.message, { content: [{ type: 'text', text }] }) };
    };
  const layers = { before: [layer('a'), layer('b')], after: [layer('c')] };
  const { connect, echo } = await start({ layers, metadata: 'k=v' });
  await connect();
  expect(textOf(await echo('x'))).toBe('a(b(c({"text":"x"})))');
  expect(order).toEqual(['a: without metadata', 'b: without metadata', 'c: with metadata']);
});

it('a layer that throws or returns an invalid reply fails only its call', async () => {
  const broken: Layer = (next) => (call) => {
    const text = JSON.stringify(call.message.json);
    if (text.includes('throw')) throw new Error('a broken layer');
    return text.includes('rubbish') ? (Promise.resolve('x') as never) : next(call);
  };
  const { connect, echo } = await start({ layers: { before: [broken] } });
  await connect();
  await expect(echo('throw')).rejects.toMatchObject({ code: -32603 });
  await expect(echo('rubbish')).rejects.toMatchObject({ code: -32603 });
  expect(textOf(await echo('x'))).toContain('x');
  const noHandler = (() => undefined) as never;
  await expect(start({ layers: { after: [noHandler] } })).rejects.toThrow(
    'layers.after[0] must return a handler',
  );
});

it('withResult keeps the text around the result, and refuses a result that is no object', () => {
  const text = '{"jsonrpc":"2.0","id":-1,"result":{"a":1},"x":12345678901234567890}';
  const response = { kind: 'response', text, json: JSON.parse(text), id: -1, outcome: 'result' } as const;
  expect(withResult(response, {}).text).toBe(text.replace('{"a":1}', '{}'));
  expect(() => withResult(response, [])).toThrow(TypeError);
});

it.each<[string, unknown, string]>([
  ['credentials', { credentials: KEYS, roleArn: 'x' }, 'credentials excludes roleArn: pass one of them only'],
  ['credentials', { credentials: KEYS, profile: 'x' }, 'credentials excludes profile: pass one of them only'],
  ['env', { env: 'x' }, 'env must be an object such as process.env'],
  ['clock', { clock: { now: () => 0 } }, 'clock must be an object with the functions of Clock'],
  ['events', { events: {} }, 'events must be an object of the class Events'],
  ['logger', { logger: 'x' }, 'logger must be an object with functions error, warn, info, debug'],
  ['logger', { logger: { warn: 1 } }, 'logger must have a function as warn'],
  ['hooks', { hooks: { onBorrow: 1 } }, 'hooks must have a function as onBorrow'],
  [
    'layers',
    { layers: { before: [1] } },
    'layers must be an object with before and after, lists of functions',
  ],
  ['layers', { layers: [] }, ''],
])('an unusable option %s of %j is reported with its name', (field, given, message) => {
  const expected = message === '' ? [] : [{ field, message }];
  expect(programProblems(given as never)).toEqual(expected);
});
