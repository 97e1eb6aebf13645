import { expect, it } from 'vitest';
import { toUpstreamHeaders } from '../../../src/upstream/passthrough/headers.ts';

const names = { userAgent: 'proxy/1', andClient: true };

it('a header of --header replaces that of a client', () => {
  const headers = { 'x-api-key': 'of the client', 'mcp-session-id': 's' };
  expect(toUpstreamHeaders(headers, { 'x-api-key': 'of the owner' }, names)).toEqual({
    accept: 'application/json, text/event-stream',
    'mcp-session-id': 's',
    'user-agent': 'proxy/1',
  });
});

it('the user agent names the proxy and, unless it is hidden, the client', () => {
  const headers = { 'user-agent': `client/2 ${'x'.repeat(1_000)}` };
  const agent = toUpstreamHeaders(headers, {}, names)['user-agent'];
  expect(agent).toMatch(/^proxy\/1 client\/2 x+$/);
  expect(agent?.length).toBeLessThan(300);
  expect(toUpstreamHeaders(headers, {}, { ...names, andClient: false })['user-agent']).toBe('proxy/1');
});
