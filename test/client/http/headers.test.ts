import { describe, expect, it } from 'vitest';
import {
  corsHeaders,
  forwardProblem,
  pickRequestHeaders,
  pickResponseHeaders,
  preflightHeaders,
} from '../../../src/client/http/headers.ts';

describe('request headers to the server', () => {
  it('request headers to the server are those of MCP, of tracing, and the name of the client', () => {
    const headers = {
      accept: 'application/json, text/event-stream',
      'mcp-session-id': 's',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'n',
      'mcp-param-x': 'y',
      'last-event-id': '0',
      traceparent: '00-1-2-03',
      tracestate: 'a=1',
      baggage: 'user=1',
      'user-agent': 'client/1',
    };
    expect(pickRequestHeaders(headers)).toEqual(headers);
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
    'x-amzn-bedrock-agentcore-runtime-user-id',
    'x-amzn-trace-id',
    'x-original-url',
    'x-rewrite-url',
    'x-http-method-override',
    'mcp_session_id',
    'mcp-session_id',
    'trace_parent',
    'x-anything',
  ])('request headers to the server do not include %s', (name) => {
    expect(pickRequestHeaders({ [name]: 'x' })).toEqual({});
  });

  it('the headers of --forward-header pass in both directions', () => {
    const more = new Set(['x-tenant']);
    expect(pickRequestHeaders({ 'x-tenant': '1', 'x-other': '2' }, more)).toEqual({ 'x-tenant': '1' });
    const answer = { status: 200, headers: { 'x-tenant': '1', 'x-other': '2' } };
    expect(pickResponseHeaders(answer, more)).toEqual({ 'x-tenant': '1' });
  });

  it('request headers that Connection names do not pass', () => {
    const more = new Set(['x-mine', 'x-other']);
    expect(pickRequestHeaders({ connection: 'close, X-Mine', 'x-mine': '1', 'x-other': '2' }, more)).toEqual({
      'x-other': '2',
    });
  });
});

describe('response headers to the client', () => {
  const down = (headers: Record<string, string | string[]>) => pickResponseHeaders({ status: 200, headers });

  it('response headers of one name all pass', () => {
    expect(down({ 'cache-control': ['a', 'b'], 'mcp-session-id': 's' })).toEqual({
      'cache-control': ['a', 'b'],
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
    'set-cookie2',
    'location',
    'refresh',
    'x-amz-security-token',
    'authorization',
    'server',
    'x-anything',
  ])('response headers to the client do not include %s', (name) => {
    expect(down({ [name]: 'x' })).toEqual({});
  });

  it('response headers that Connection names, or that cannot be sent, do not pass', () => {
    const headers = { connection: 'mcp-mine', 'mcp-mine': '1', 'mcp-odd': 'a\u2028b', 'mcp-ok': 'é' };
    expect(down(headers)).toEqual({ 'mcp-ok': 'é' });
  });
});

describe('a name of --forward-header', () => {
  it.each(['x-request-id', 'X-Tenant', 'x-amzn-bedrock-agentcore-runtime-session-id'])(
    'the name %s is allowed in --forward-header',
    (name) => {
      expect(forwardProblem(name)).toBeUndefined();
    },
  );

  it.each([
    'Host',
    'authorization',
    'Content-Type',
    'x-amz-security-token',
    'X-Amz-Date',
    'cookie',
    'Connection',
    'proxy-authorization',
    'X-HTTP-Method-Override',
    'x-original-url',
    'location',
    'set-cookie',
    'www-authenticate',
    'transfer-encoding',
    'x_tenant',
    'x-tenant:',
    'é',
  ])('the name %s is refused in --forward-header', (name) => {
    expect(forwardProblem(name)).toMatch(/^must/);
  });
});

describe('CORS', () => {
  it('CORS headers allow the page of an admitted origin to read the response', () => {
    expect(corsHeaders('http://localhost:1')).toMatchObject({
      'access-control-allow-origin': 'http://localhost:1',
      vary: 'Origin',
    });
    expect(corsHeaders(undefined)).toEqual({});
  });

  it('CORS headers allow the request headers that a page asks for', () => {
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
