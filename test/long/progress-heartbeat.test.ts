import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { describe, expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';
import { startListening } from '../support/listening.ts';
import { EventWriter, type Rpc } from '../support/mcp-answers.ts';
import { makeGate, startInitialized } from '../support/relayed.ts';

const ARGS = ['--progress-heartbeat', '0.05'];
const STATELESS = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '0' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

const progressOf = (messages: readonly Rpc[], token: unknown): number[] =>
  messages
    .filter(({ method }) => method === 'notifications/progress')
    .map(({ params }) => params as { progressToken: unknown; progress: number })
    .filter(({ progressToken }) => progressToken === token)
    .map(({ progress }) => progress);

const increases = (values: readonly number[]): boolean =>
  values.every((value, at) => at === 0 || value > (values[at - 1] ?? Number.NaN));

/** Tools that send nothing, then one progress of 0, then nothing, then their response. */
async function startSilent(args: readonly string[] = ARGS) {
  const [first, end] = [makeGate(), makeGate()];
  const answer = async (request: { rpc: Rpc }, events: EventWriter): Promise<void> => {
    const { _meta: meta } = request.rpc.params as { _meta: { progressToken: unknown } };
    await first.opened;
    const params = { progressToken: meta.progressToken, progress: 0 };
    if (meta.progressToken !== 'beside')
      events.send({ jsonrpc: '2.0', method: 'notifications/progress', params });
    await end.opened;
    events.send({ jsonrpc: '2.0', id: request.rpc.id, result: { content: [] } });
    events.end();
  };
  const relayed = await startInitialized({
    args,
    before: (next) => (request, response) =>
      request.rpc.method === 'tools/call'
        ? answer(request, new EventWriter(response))
        : next(request, response),
  });
  return { ...relayed, first, end };
}

describe('--progress-heartbeat on stdio', () => {
  it.each<[era: string, meta: object, token: unknown]>([
    ['with a session', {}, 0],
    ['with a session', {}, ''],
    ['of 2026-07-28', STATELESS, -1],
  ])(
    '--progress-heartbeat notifies progress of a silent call %s until the server does: %j, token %j',
    async (_era, meta, token) => {
      const { bin, first, end } = await startSilent();
      const params = { name: 'any', _meta: { ...meta, progressToken: token } };
      bin.send({ jsonrpc: '2.0', id: 0, method: 'tools/call', params });
      await expect.poll(() => progressOf(bin.messages, token).length).toBeGreaterThan(2);
      first.open();
      await expect.poll(() => progressOf(bin.messages, token).at(-1)).toBe(0);
      const received = progressOf(bin.messages, token);
      // Another call's heartbeats show that time has passed.
      const beside = { name: 'any', _meta: { ...meta, progressToken: 'beside' } };
      bin.send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: beside });
      await expect.poll(() => progressOf(bin.messages, 'beside').length).toBeGreaterThan(3);
      expect(progressOf(bin.messages, token)).toEqual(received);
      expect(increases(received)).toBe(true);
      end.open();
      expect((await bin.answer(0)).result).toEqual({ content: [] });
      const after = bin.messages.findIndex(({ id }) => id === 1);
      await bin.answer(1);
      expect(progressOf(bin.messages.slice(after), token)).toEqual([]);
    },
  );

  it('--progress-heartbeat notifies nothing after a cancellation, nor for a call without a progress token', async () => {
    const { bin } = await startSilent();
    bin.send({
      jsonrpc: '2.0',
      id: 0,
      method: 'tools/call',
      params: { name: 'any', _meta: { progressToken: 0 } },
    });
    bin.send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'any', _meta: {} } });
    await expect.poll(() => progressOf(bin.messages, 0).length).toBeGreaterThan(1);
    bin.notify('notifications/cancelled', { requestId: 0 });
    bin.send({
      jsonrpc: '2.0',
      id: 2,
      method: 'tools/call',
      params: { name: 'any', _meta: { progressToken: 'beside' } },
    });
    await expect.poll(() => progressOf(bin.messages, 'beside').length).toBeGreaterThan(0);
    const received = progressOf(bin.messages, 0).length;
    await expect.poll(() => progressOf(bin.messages, 'beside').length).toBeGreaterThan(4);
    expect(progressOf(bin.messages, 0).length).toBe(received);
    expect(
      bin.messages
        .filter(({ method }) => method === 'notifications/progress')
        .every(({ params }) => 'progressToken' in (params as object)),
    ).toBe(true);
  });

  it('--progress-heartbeat does not extend the time limit of a call: --tool-timeout still ends it', async () => {
    const { bin } = await startSilent([...ARGS, '--tool-timeout', '0.4']);
    const late = await bin.request('tools/call', { name: 'any', _meta: { progressToken: 0 } }, -1);
    expect(late).toMatchObject({ id: -1, error: { data: { reason: 'timeout' } } });
    expect(progressOf(bin.messages, 0).length).toBeGreaterThan(0);
  });

  it('--progress-heartbeat is off by default', async () => {
    const { bin, first, end } = await startSilent([]);
    const answered = bin.request('tools/call', { name: 'any', _meta: { progressToken: 0 } }, 0);
    first.open();
    end.open();
    await answered;
    expect(progressOf(bin.messages, 0)).toEqual([0]);
  });
});

it("--progress-heartbeat keeps an SDK client waiting for a silent call far beyond the client's time limit", async () => {
  const gate = makeGate();
  const { url } = await startListening({
    args: ARGS,
    session: {
      on: {
        'tools/call': async (_request, _response, { fallback }) => {
          await gate.opened;
          await fallback();
        },
      },
    },
  });
  const client = new Client({ name: 'sdk', version: '0' });
  afterThisTest(() => client.close());
  await client.connect(new StreamableHTTPClientTransport(new URL(url)) as Parameters<Client['connect']>[0]);
  const received: number[] = [];
  const options = {
    timeout: 2_000,
    resetTimeoutOnProgress: true,
    onprogress: ({ progress }: { progress: number }) => {
      received.push(progress);
      // More than the limit allows without progress.
      if (received.length === 60) gate.open();
    },
  };
  const { content } = await client.callTool({ name: 'echo', arguments: { text: 'hi' } }, undefined, options);
  expect(content).toMatchObject([{ text: '{"text":"hi"}' }]);
  expect(increases(received)).toBe(true);
});
