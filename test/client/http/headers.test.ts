import { describe, expect, it } from 'vitest';
import {
  corsHeaders,
  forwardProblem,
  pickRequestHeaders,
  pickResponseHeaders,
  preflightHeaders,
} from '../../../src/client/http/headers.ts';

describe('headers on the way up', () => {
  it('are those of MCP, of tracing, and the name of the client', () => {
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
  ])('do not hold %s', (name) => {
    expect(pickRequestHeaders({ [name]: 'x' })).toEqual({});
  });

  it('hold what --forward-header names, in both directions', () => {
    const more = new Set(['x-tenant']);
    expect(pickRequestHeaders({ 'x-tenant': '1', 'x-other': '2' }, more)).toEqual({ 'x-tenant': '1' });
    const answer = { status: 200, headers: { 'x-tenant': '1', 'x-other': '2' } };
    expect(pickResponseHeaders(answer, more)).toEqual({ 'x-tenant': '1' });
  });

  it('leave out what Connection names', () => {
    const more = new Set(['x-mine', 'x-other']);
    expect(pickRequestHeaders({ connection: 'close, X-Mine', 'x-mine': '1', 'x-other': '2' }, more)).toEqual({
      'x-other': '2',
    });
  });
});

describe('headers on the way down', () => {
  const down = (headers: Record<string, string | string[]>) => pickResponseHeaders({ status: 200, headers });

  it('keep several of one name', () => {
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
  ])('do not hold %s', (name) => {
    expect(down({ [name]: 'x' })).toEqual({});
  });

  it('leave out what Connection names, and what cannot be sent', () => {
    const headers = { connection: 'mcp-mine', 'mcp-mine': '1', 'mcp-odd': 'a\u2028b', 'mcp-ok': 'é' };
    expect(down(headers)).toEqual({ 'mcp-ok': 'é' });
  });
});

describe('a name of --forward-header', () => {
  it.each(['x-request-id', 'X-Tenant', 'x-amzn-bedrock-agentcore-runtime-session-id'])(
    'may be %s',
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
  ])('must not be %s', (name) => {
    expect(forwardProblem(name)).toMatch(/^must/);
  });
});

describe('a page', () => {
  it('allows the page to read the response, by its origin', () => {
    expect(corsHeaders('http://localhost:1')).toMatchObject({
      'access-control-allow-origin': 'http://localhost:1',
      vary: 'Origin',
    });
    expect(corsHeaders(undefined)).toEqual({});
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
