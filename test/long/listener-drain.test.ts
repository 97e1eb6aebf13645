import { describe, expect, it } from 'vitest';
import { startListening } from '../support/listening.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { makeGate } from '../support/relayed.ts';

const call = (id: unknown) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'any', arguments: {} },
});

/** A listener whose first call holds the server, and whose others wait for a limit. */
async function withQueuedCalls(args: readonly string[]) {
  const gate = makeGate();
  const { ask, bin, server } = await startListening({
    args: [...args, '--drain-delay', '0.2'],
    behaviour: async ({ rpc }, response) => {
      if (rpc.id === 0) await gate.opened;
      sendJson(response, 200, { jsonrpc: '2.0', id: rpc.id, result: {} });
    },
  });
  const first = ask({ body: call(0) });
  await server.until((requests) => requests.some(({ rpc }) => rpc.id === 0));
  const queued = ['', -1].map((id) => ask({ body: call(id) }));
  return { gate, bin, server, first, queued };
}

const LIMITS = [
  ['--max-concurrent', ['--max-concurrent', '1', '--queue-size', '5']],
  ['--rate-limit', ['--rate-limit', '1', '--rate-burst', '1']],
] as const;

describe('calls that wait for a limit when the listener leaves', () => {
  it.each(LIMITS)('calls that wait for %s run within --drain-timeout after SIGTERM', async (_name, args) => {
    const { gate, bin, first, queued } = await withQueuedCalls(args);
    bin.kill('SIGTERM');
    await bin.stderrMatching(/proxy\.draining/);
    gate.open();
    const answers = await Promise.all([first, ...queued]);
    expect(answers.map(({ status, json }) => [status, json.id])).toEqual([
      [200, 0],
      [200, ''],
      [200, -1],
    ]);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });

  it('a call that still waits at the end of --drain-timeout is refused with the time of a retry', async () => {
    const { bin, server, first, queued } = await withQueuedCalls([
      ...['--max-concurrent', '1', '--queue-size', '5'],
      ...['--drain-timeout', '0.5'],
    ]);
    bin.kill('SIGTERM');
    expect((await first).json.error).toMatchObject({ data: { reason: 'shutting-down', mayHaveRun: true } });
    for (const answer of queued) {
      const { status, headers, json } = await answer;
      expect([status, headers['retry-after']]).toEqual([503, '1']);
      expect(json.error).toMatchObject({
        message: expect.stringContaining('send it again'),
        data: { reason: 'shutting-down', mayHaveRun: false, retryAfterMs: 1_000 },
      });
    }
    expect(server.requests).toHaveLength(1);
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
  });
});
