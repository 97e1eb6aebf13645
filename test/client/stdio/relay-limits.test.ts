import { describe, expect, it } from 'vitest';
import { RelayRig, renamed } from './rig.ts';

const LIMIT = 65_536;
const resultOf = (bytes: number, id = '0'): string => {
  const frame = `{"jsonrpc":"2.0","id":${id},"result":""}`;
  return `{"jsonrpc":"2.0","id":${id},"result":"${'x'.repeat(bytes - frame.length)}"}`;
};

describe('an answer longer than a line that clients take', () => {
  it('an answer within the limit of a line is written', async () => {
    const rig = new RelayRig({ maxLineBytes: LIMIT });
    await (await rig.request(0)).reply(resultOf(LIMIT));
    expect(rig.sent[0]).toHaveLength(LIMIT);
  });

  it.each(['0', '""', '-1', '9007199254740993'])(
    'an answer over the limit of a line becomes an error under the id %s with its size and a remedy',
    async (id) => {
      const rig = new RelayRig({ maxLineBytes: LIMIT });
      await rig.receive(`{"jsonrpc":"2.0","id":${id},"method":"tools/call"}`);
      await rig.last('tools/call').reply(resultOf(LIMIT + 1, id));
      const message =
        'The answer is 65537 bytes long, more than the 65536 bytes that MCP clients take in one message (--max-line). Ask for less at once; the call itself has run.';
      const data = `{"source":"mcp-sigv4-proxy","reason":"line-too-long","mayHaveRun":true,"bytes":65537,"limit":65536}`;
      expect(rig.sent).toEqual([
        `{"jsonrpc":"2.0","id":${id},"error":{"code":-31010,"message":"${message}","data":${data}}}`,
      ]);
    },
  );

  it('the limit of a line counts bytes, not characters', async () => {
    const rig = new RelayRig({ maxLineBytes: LIMIT });
    const text = renamed(`{"jsonrpc":"2.0","id":0,"result":"${'é'.repeat(40_000)}"}`, '0');
    expect(text.length).toBeLessThan(LIMIT);
    await (await rig.request(0)).reply(text);
    expect(rig.take()).toMatchObject([{ error: { data: { bytes: Buffer.byteLength(text) } } }]);
  });

  it('an answer of any length is written if the limit is 0', async () => {
    const rig = new RelayRig({ maxLineBytes: 0 });
    await (await rig.request(0)).reply(resultOf(12_000_000));
    expect(rig.sent[0]).toHaveLength(12_000_000);
  });

  it('a notification over the limit of a line is dropped and logged', async () => {
    const rig = new RelayRig({ maxLineBytes: LIMIT });
    const call = await rig.request(0);
    await call.emit({ jsonrpc: '2.0', method: 'notifications/message', params: { data: 'x'.repeat(LIMIT) } });
    expect(rig.take()).toEqual([]);
    expect(rig.eventsOf('upstream.message-dropped')).toHaveLength(1);
  });
});

describe('too many requests at once', () => {
  it('requests over the limit are refused, and accepted again when some are answered', async () => {
    let reached = 0;
    const rig = new RelayRig({
      timeoutMs: 0,
      handler: () => {
        reached++;
        return new Promise(() => undefined);
      },
    });
    for (let id = 0; id < 65_536; id++) rig.relay.receive(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`);
    await rig.receive({ id: 'x', method: 'tools/call' });
    expect(rig.take()).toMatchObject([
      {
        id: 'x',
        error: {
          code: -31012,
          message: expect.stringMatching(
            /^Too many requests wait for an answer \(65536 of at most 65536, \d+ of at most 268435456 characters together\): .* Send it again when some have been answered\.$/,
          ),
          data: { source: 'mcp-sigv4-proxy', reason: 'too-many-waiting', mayHaveRun: false },
        },
      },
    ]);
    expect(reached).toBe(65_536);
    await rig.receive({ method: 'notifications/cancelled', params: { requestId: 0 } });
    await rig.receive({ id: 'x', method: 'tools/call' });
    expect(rig.take()).toEqual([]);
    expect(reached).toBe(65_538);
  });
});

describe('too many notifications and responses in flight', () => {
  it('notifications over the limit are dropped and logged, and accepted again when some have arrived', async () => {
    const rig = new RelayRig({ timeoutMs: 0 });
    const call = await rig.request('');
    const change = { method: 'notifications/roots/list_changed' };
    // The server takes none of them, and each waits for the one before.
    for (let at = 0; at < 65_536; at++) {
      rig.relay.receive('{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}');
    }
    expect(rig.eventsOf('client.message-dropped')).toEqual([]);
    await rig.receive(change);
    expect(rig.eventsOf('client.message-dropped')).toEqual([
      { type: 'client.message-dropped', kind: 'notification', underWay: 65_536 },
    ]);
    // A call that is cancelled ends here all the same.
    await rig.receive({ method: 'notifications/cancelled', params: { requestId: '' } });
    expect(call.call.signal.aborted).toBe(true);
    expect(rig.eventsOf('client.message-dropped')).toHaveLength(2);
    expect(rig.take()).toEqual([]);
    await rig.last(change.method).accept();
    await rig.receive(change);
    expect(rig.eventsOf('client.message-dropped')).toHaveLength(2);
  });
});
