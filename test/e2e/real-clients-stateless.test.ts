import { describe, expect, it } from 'vitest';
import { startListener } from '../support/listening.ts';
import { connectClientV2, type RealClient, startClientV2 } from '../support/sdk-clients.ts';
import { signingVerify } from '../support/signing.ts';
import { startSuiteServer } from '../support/suite-server/server.ts';
import { VerifyingProxy } from '../support/verifying-proxy.ts';

const MODES = [
  ['that asks the server for its revision', 'auto'],
  ['pinned to revision 2026-07-28', { pin: '2026-07-28' }],
] as const;

const CASES = MODES.flatMap(([title, mode]) =>
  (['stdio', 'the listener'] as const).map((front) => [title, front, mode] as const),
);

describe.each(CASES)('an SDK v2 client %s, through %s', (_title, front, mode) => {
  async function connect(): Promise<{ client: RealClient; gate: VerifyingProxy }> {
    const server = await startSuiteServer('both');
    const gate = await VerifyingProxy.start(server.url, signingVerify);
    const client =
      front === 'stdio'
        ? await startClientV2(gate.url, [], {}, mode)
        : await connectClientV2((await startListener(gate.url)).url, mode);
    return { client, gate };
  }

  it('an SDK v2 client lists, calls, gets progress, and leaves no session', async () => {
    const { client, gate } = await connect();
    expect(client.revision()).toBe('2026-07-28');
    expect(await client.toolNames()).toContain('test_mirrored_argument');
    // The server compares the argument with the header that mirrors it.
    expect(await client.call('test_mirrored_argument', { region: 'süd 1' })).toBe('süd 1');
    const steps: number[] = [];
    await client.call('test_tool_with_progress', {}, { onProgress: (step) => steps.push(step) });
    // The SDK's clients drop progress that they read together with the result.
    expect(steps).toEqual([0, 50, 100].slice(0, steps.length));
    await client.close();
    expect(gate.refused).toEqual([]);
    expect(gate.requests.filter(({ method }) => method !== 'POST')).toEqual([]);
  });

  it('an SDK v2 client calls a tool with a mirrored argument before any tools/list', async () => {
    const { client } = await connect();
    expect(await client.call('test_mirrored_argument', { region: 'eu-west-1' })).toBe('eu-west-1');
  });

  it('an SDK v2 client answers multi-round results, for two rounds and for three inputs at once', async () => {
    const { client } = await connect();
    expect(await client.call('test_input_required_result_multiple_inputs')).toBe('done');
    expect(await client.call('test_input_required_result_multi_round')).toBe('two rounds done');
  });

  it('an SDK v2 client gets list changes on its subscription', async () => {
    const { client } = await connect();
    await client.call('test_trigger_tool_change');
    await client.hears('tools changed');
  });
});
