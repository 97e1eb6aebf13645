import { describe, expect, it } from 'vitest';
import { FaultServer } from '../support/fault-server.ts';
import { type Fault, LOST_FORMS } from '../support/faults.ts';
import { startClientV1, startClientV2 } from '../support/sdk-clients.ts';

/** Faults that no caller may notice. */
const HEALED: readonly Fault[] = [
  { kind: 'none' },
  ...LOST_FORMS.map((form) => ({ kind: 'lost', form }) as const),
  { kind: 'forget', which: 'all' },
  { kind: 'status', status: 429 },
  { kind: 'status', status: 429, retryAfter: '0' },
  { kind: 'slow-headers', ms: 50 },
  { kind: 'close-after' },
  { kind: 'stream', ids: true, pieces: 3, by: 'fin', retryMs: 20 },
  { kind: 'stream', ids: true, pieces: 2, by: 'rst', retryMs: 20 },
];

describe.each([
  ['v1', startClientV1],
  ['v2', startClientV2],
])('an SDK client of generation %s', (_generation, start) => {
  it('an SDK client notices none of several faults that the proxy recovers from, and no tool runs twice', async () => {
    const server = await FaultServer.start();
    const client = await start(server.url);
    for (const [at, fault] of HEALED.entries()) {
      server.inject('tools/call', fault);
      expect(await client.call('mark', { token: `t${at}` })).toBe(`t${at}`);
    }
    expect([...server.executions.values()]).toEqual(HEALED.map(() => 1));
    expect(server.liveSessions).toHaveLength(1);
  });

  it('an SDK client gets all 32 responses when the server drops the session of the calls', async () => {
    const server = await FaultServer.start();
    const client = await start(server.url, ['--max-connections', '16']);
    server.inject('tools/call', ...Array<Fault>(9).fill({ kind: 'none' }), { kind: 'forget', which: 'all' });
    const tokens = Array.from({ length: 32 }, (_, at) => `t${at}`);
    expect(await Promise.all(tokens.map((token) => client.call('mark', { token, ms: 20 })))).toEqual(tokens);
    expect([...server.executions.values()]).toEqual(tokens.map(() => 1));
    expect(server.initializes).toBe(2);
  });

  it('an SDK client gets an error for a call that may have run, and goes on', async () => {
    const server = await FaultServer.start();
    const client = await start(server.url);
    server.inject('tools/call', { kind: 'reset', at: 'in-body', by: 'rst' });
    await expect(client.call('mark', { token: 'cut' })).rejects.toThrow('The call may have run');
    server.inject('tools/call', { kind: 'restart' });
    await expect(client.call('mark', { token: 'restart' })).rejects.toThrow('The call may have run');
    expect(await client.call('mark', { token: 'after' })).toBe('after');
    expect([...server.executions]).toEqual([
      ['cut', 1],
      ['restart', 1],
      ['after', 1],
    ]);
  });
});
