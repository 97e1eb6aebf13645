import { expect, it } from 'vitest';
import { McpProxy } from '../../src/proxy.ts';
import { parseArguments, readSettings } from '../../src/settings.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { type Rpc, sendJson } from '../support/mcp-answers.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { settingsIn } from '../support/settings.ts';
import { signingArgs, signingEnv } from '../support/signing.ts';

/** A server whose tool runs and then fails with 503 once; its list declares the current `hints`. */
async function start(hints: object) {
  const now = { hints };
  const server = await ScriptedServer.start((request, response) => {
    const { id, method } = request.rpc;
    if (id === undefined) return void response.writeHead(202).end();
    if (method === 'tools/call' && server.of('tools/call').length === 1)
      return void response.writeHead(503).end();
    const tools = [{ name: 'put', inputSchema: { type: 'object' }, annotations: now.hints }];
    sendJson(response, 200, {
      jsonrpc: '2.0',
      id,
      result: method === 'tools/list' ? { tools } : { content: [] },
    });
  });
  const clock = new FakeClock({ now: Date.now() });
  const argv = [server.url, ...signingArgs, '--retry-base-delay', '0', '--retry-max-delay', '0'];
  const proxy = new McpProxy(settingsIn(await readSettings(parseArguments(argv), { ...signingEnv })), {
    clock,
  });
  afterThisTest(() => proxy.stop());
  const waiting = new Map<unknown, (answer: Rpc) => void>();
  const relay = proxy.connect(async (line) => {
    const answer = JSON.parse(String(line)) as Rpc;
    waiting.get(answer.id)?.(answer);
  });
  const ask = (id: number | string, method: string, params: object): Promise<Rpc> =>
    new Promise((resolve) => {
      waiting.set(id, resolve);
      void relay.receive(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  await ask(0, 'tools/list', {});
  return { now, server, clock, call: () => ask('', 'tools/call', { name: 'put', arguments: {} }) };
}

it.each([{ readOnlyHint: true }, { idempotentHint: true }])(
  'a call is not retried if its tool has lost the hint %j without a notification',
  async (hints) => {
    const { now, server, clock, call } = await start(hints);
    now.hints = {};
    await clock.advance(60_001);
    const answer = call();
    while (server.of('tools/call').length === 0) await clock.advance(0);
    expect(await settledUnder(clock, answer)).toMatchObject({ error: { data: { mayHaveRun: true } } });
    expect(server.of('tools/call')).toHaveLength(1);
    expect(server.of('tools/list')).toHaveLength(2);
  },
);

it('a call is retried if a reread list confirms its hint, and without a reread if the list is recent', async () => {
  for (const [age, lists] of [
    [60_001, 2],
    [59_000, 1],
  ] as const) {
    const { server, clock, call } = await start({ idempotentHint: true });
    await clock.advance(age);
    expect(await settledUnder(clock, call())).toHaveProperty('result');
    expect(server.of('tools/call')).toHaveLength(2);
    expect(server.of('tools/list')).toHaveLength(lists);
  }
});

/** Ends waits of any length at once, however many there are. */
async function settledUnder(clock: FakeClock, answer: Promise<Rpc>): Promise<Rpc> {
  let settled: Rpc | undefined;
  void answer.then((value) => {
    settled = value;
  });
  while (settled === undefined) {
    await clock.advance(0);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return settled;
}
