import { describe, expect, it } from 'vitest';
import { downHeaders, pageHeaders, preflightHeaders, upHeaders } from '../../src/front/headers.ts';

describe('headers on the way up', () => {
  it('are those of MCP, of tracing, and whatever else is between client and server', () => {
    const headers = {
      accept: 'application/json, text/event-stream',
      'mcp-session-id': 's',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'n',
      'mcp-param-x': 'y',
      'last-event-id': '0',
      traceparent: '00-1-2-03',
      'x-amzn-bedrock-agentcore-runtime-session-id': 'r',
      'user-agent': 'client/1',
    };
    expect(upHeaders(headers)).toEqual(headers);
  });

  it.each([
    'host',
    'authorization',
    'cookie',
    'content-length',
    'content-type',
    'accept-encoding',
    'expect',
    'origin',
    'referer',
    'sec-fetch-site',
    'x-amz-security-token',
    'x-amz-date',
    'x-forwarded-for',
    'forwarded',
    'connection',
    'keep-alive',
    'proxy-authorization',
    'te',
    'transfer-encoding',
    'upgrade',
  ])('never hold %s', (name) => {
    expect(upHeaders({ [name]: 'x' })).toEqual({});
  });

  it('leave out what Connection names', () => {
    expect(upHeaders({ connection: 'close, X-Mine', 'x-mine': '1', 'x-other': '2' })).toEqual({
      'x-other': '2',
    });
  });
});

describe('headers on the way down', () => {
  const down = (headers: Record<string, string | string[]>) => downHeaders({ status: 200, headers });

  it('keep several of one name', () => {
    expect(down({ link: ['a', 'b'], 'mcp-session-id': 's' })).toEqual({
      link: ['a', 'b'],
      'mcp-session-id': 's',
    });
  });

  it.each([
    'www-authenticate',
    'set-cookie',
    'alt-svc',
    'access-control-allow-origin',
    'connection',
    'transfer-encoding',
    'keep-alive',
  ])('never hold %s', (name) => {
    expect(down({ [name]: 'x' })).toEqual({});
  });

  it('leave out what Connection names, and what cannot be sent', () => {
    expect(down({ connection: 'x-mine', 'x-mine': '1', 'x-odd': 'a\u2028b', ok: 'é' })).toEqual({ ok: 'é' });
  });
});

describe('a page', () => {
  it('is told that it may read the answer, by its own name', () => {
    expect(pageHeaders('http://localhost:1')).toMatchObject({
      'access-control-allow-origin': 'http://localhost:1',
      vary: 'Origin',
    });
    expect(pageHeaders(undefined)).toEqual({});
  });

  it('may send the headers that it asks for', () => {
    const asked = {
      origin: 'http://localhost:1',
      'access-control-request-headers': 'mcp-session-id, mcp-param-x',
    };
    expect(preflightHeaders(asked)).toMatchObject({
      'access-control-allow-headers': 'mcp-session-id, mcp-param-x',
      'access-control-allow-methods': 'GET, POST, DELETE',
    });
  });
});
