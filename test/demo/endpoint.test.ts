import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { describe, expect, it } from 'vitest';
import { startDemoEndpoint } from '../../src/demo/endpoint.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { signedFetch } from '../support/signed-fetch.ts';

async function start(options: Parameters<typeof startDemoEndpoint>[0] = {}) {
  const endpoint = await startDemoEndpoint(options);
  afterThisTest(() => endpoint.close());
  return { endpoint, signed: signedFetch(endpoint.credentials, endpoint.service, endpoint.region) };
}

const json = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

describe('the demo endpoint', () => {
  it('the demo endpoint serves clients of both SDK generations, and returns their identity', async () => {
    const { endpoint, signed } = await start();
    const url = new URL(endpoint.url);
    const transport = new StreamableHTTPClientTransport(url, { fetch: signed });
    const v1 = new Client({ name: 'v1', version: '0' });
    await v1.connect(transport as Parameters<Client['connect']>[0]);
    const v2 = new ClientV2({ name: 'v2', version: '0' });
    await v2.connect(new TransportV2(url, { fetch: signed }));
    expect((await v1.listTools()).tools.map((tool) => tool.name)).toEqual(['wait', 'whoami']);
    const whoami = JSON.stringify(await v2.callTool({ name: 'whoami', arguments: {} }));
    expect(whoami).toContain(endpoint.credentials.accessKeyId);
    expect(whoami).toContain('/us-east-1/mcp-demo/aws4_request');
    expect(await v1.callTool({ name: 'wait', arguments: { ms: 0 } })).toMatchObject({
      content: [{ text: 'waited 0 ms' }],
    });
    await expect(v1.callTool({ name: 'wait', arguments: { ms: -1 } })).rejects.toThrow('ms must be');
    await transport.terminateSession();
    await Promise.all([v1.close(), v2.close()]);
    expect(endpoint.counts()).toMatchObject({ signaturesRefused: 0, calls: 3 });
    endpoint.resetCounts();
    expect(endpoint.counts()).toEqual({
      connectionsOpened: 0,
      signaturesVerified: 0,
      signaturesRefused: 0,
      calls: 0,
    });
  });

  it('the demo endpoint refuses requests that are unsigned or signed by another key or for another service', async () => {
    const { endpoint } = await start();
    const request = { method: 'POST', headers: json, body: '{"jsonrpc":"2.0","id":0,"method":"ping"}' };
    const { credentials, service, region } = endpoint;
    const impostor = { ...credentials, secretAccessKey: 'x' };
    for (const send of [
      fetch,
      signedFetch(impostor, service, region),
      signedFetch(credentials, 'lambda', region),
    ]) {
      const answer = await send(endpoint.url, request);
      expect(answer.status).toBe(403);
      expect(await answer.json()).toHaveProperty('__type');
    }
    expect(endpoint.counts()).toMatchObject({ signaturesRefused: 3, signaturesVerified: 0 });
  });

  it('the demo endpoint counts only connections with a tool call, and waits by its clock', async () => {
    const clock = new FakeClock({ now: Date.now() });
    const { endpoint, signed } = await start({ clock });
    const post = (message: object, session: Record<string, string> = {}) =>
      signed(endpoint.url, {
        method: 'POST',
        headers: { ...json, ...session },
        body: JSON.stringify(message),
      });
    const opened = await post({ jsonrpc: '2.0', id: '', method: 'initialize', params: {} });
    expect(await opened.json()).toMatchObject({ id: '', result: { protocolVersion: '2025-11-25' } });
    const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };
    const stream = await signed(endpoint.url, { headers: { ...session, accept: 'text/event-stream' } });
    expect(stream.status).toBe(200);
    expect(endpoint.counts().connectionsOpened).toBe(0);

    const waiting = [-1, 0, 1].map((id) =>
      post(
        { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'wait', arguments: { ms: 250 } } },
        session,
      ),
    );
    while (clock.timers < 3) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(250);
    const answers = await Promise.all(waiting.map(async (answer) => (await answer).json()));
    expect(answers.map((answer) => (answer as { id: unknown }).id)).toEqual([-1, 0, 1]);
    expect(endpoint.counts()).toMatchObject({ connectionsOpened: 3, calls: 3 });

    expect((await signed(endpoint.url, { method: 'DELETE', headers: session })).status).toBe(200);
    expect((await post({ jsonrpc: '2.0', id: 9, method: 'ping' }, session)).status).toBe(404);
    expect((await post({ jsonrpc: '2.0', id: 9, method: 'ping' })).status).toBe(400);
    expect(await stream.text()).toBe(': open\n\n');
  });

  it('the demo endpoint ends a wait when the caller disconnects', async () => {
    const clock = new FakeClock({ now: Date.now() });
    const { endpoint, signed } = await start({ clock });
    const post = (method: string, params: object, headers: object, signal?: AbortSignal) =>
      signed(endpoint.url, {
        method: 'POST',
        headers: { ...json, ...headers },
        body: JSON.stringify({ jsonrpc: '2.0', id: 0, method, params }),
        ...(signal ? { signal } : {}),
      });
    const opened = await post('initialize', {}, {});
    const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };
    const caller = new AbortController();
    const call = post('tools/call', { name: 'wait', arguments: { ms: 1 } }, session, caller.signal);
    while (clock.timers < 1) await new Promise((resolve) => setImmediate(resolve));
    caller.abort();
    await expect(call).rejects.toThrow();
    while (clock.timers > 0) await new Promise((resolve) => setImmediate(resolve));
  });
});
