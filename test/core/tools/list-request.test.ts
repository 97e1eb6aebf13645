import { describe, expect, it } from 'vitest';
import { listRequest } from '../../../src/core/tools/list-request.ts';
import { requestOf } from '../../support/make-call.ts';

describe("the proxy's own request for the list", () => {
  it('the list request for a session-era message carries a cursor if it continues', () => {
    const { id, json } = listRequest(requestOf('tools/call', { name: 't', _meta: { progressToken: 0 } }), '');
    expect(json).toEqual({ jsonrpc: '2.0', id, method: 'tools/list', params: { cursor: '' } });
    expect(listRequest(requestOf('tools/call', { name: 't' }), undefined).json).not.toHaveProperty('params');
  });

  it('the list request carries the envelope of a stateless message, and not its progress token', () => {
    const envelope = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'c', version: '1' },
    };
    const request = requestOf('tools/call', {
      name: 't',
      _meta: { ...envelope, progressToken: 0, other: 1 },
    });
    expect(listRequest(request, undefined).json.params).toEqual({ _meta: envelope });
  });

  it('the list request never has the same id twice', () => {
    const { id } = listRequest(requestOf('tools/call'), undefined);
    expect(listRequest(requestOf('tools/call'), undefined).id).not.toBe(id);
  });
});
