import { describe, expect, it } from 'vitest';
import type { Reply } from '../../src/core/pipeline/call.ts';
import { clientName } from '../../src/layers/client-name.ts';
import { makeCall, messageOf } from '../support/make-call.ts';

const ACCEPTED: Reply = { kind: 'accepted' };

async function learnedFrom(json: Readonly<Record<string, unknown>>): Promise<string[]> {
  const { call } = makeCall(messageOf(json));
  const learned: string[] = [];
  const order: string[] = [];
  const handler = clientName((product) => {
    learned.push(product);
    order.push('learned');
  })(async (passed) => {
    expect(passed).toBe(call);
    order.push('next');
    return ACCEPTED;
  });
  expect(await handler(call)).toBe(ACCEPTED);
  // Known before the request goes out, so that its own user agent says it.
  expect(order.at(-1)).toBe('next');
  return learned;
}

const initialize = (clientInfo: unknown) => ({ id: 0, method: 'initialize', params: { clientInfo } });

describe('the client’s name', () => {
  it.each([
    [{ name: 'Claude Code', version: '2.0.1' }, 'claude-code/2.0.1'],
    [{ name: 'opencode' }, 'opencode'],
    [{ name: 'opencode', version: '' }, 'opencode'],
    [{ name: 'a\r\nX-Evil: 1', version: '1 (beta)\n' }, 'a-x-evil-1/1-beta'],
    [{ name: 'x'.repeat(500), version: 'y'.repeat(500) }, `${'x'.repeat(64)}/${'y'.repeat(64)}`],
  ])('the client name of %j becomes a product token that fits in a header', async (info, product) => {
    expect(await learnedFrom(initialize(info))).toEqual([product]);
  });

  it.each([
    [undefined],
    [null],
    ['name'],
    [[]],
    [{}],
    [{ name: '' }],
    [{ name: 7, version: '1' }],
    [{ name: '日本' }],
  ])('the client name is not read from %j', async (info) => {
    expect(await learnedFrom(initialize(info))).toEqual([]);
  });

  it('the client name is read from every stateless message', async () => {
    const _meta = { 'io.modelcontextprotocol/clientInfo': { name: 'Claude Code', version: '3' } };
    expect(await learnedFrom({ id: '', method: 'tools/call', params: { _meta } })).toEqual(['claude-code/3']);
  });

  it('the client name stays until another one is stated', async () => {
    const learned: string[] = [];
    const handler = clientName((product) => learned.push(product))(async () => ACCEPTED);
    for (const name of ['a', 'a', 'b', 'b', 'a']) {
      const _meta = { 'io.modelcontextprotocol/clientInfo': { name, version: '1' } };
      await handler(makeCall(messageOf({ id: 0, method: 'ping', params: { _meta } })).call);
    }
    expect(learned).toEqual(['a/1', 'b/1', 'a/1']);
  });

  it('the client name of the session era is read from initialize only', async () => {
    const params = { clientInfo: { name: 'x', version: '1' } };
    expect(await learnedFrom({ id: 0, method: 'tools/call', params })).toEqual([]);
    expect(await learnedFrom({ method: 'initialize', params })).toEqual([]);
  });
});
