import { describe, expect, it } from 'vitest';
import type { BinDriver } from '../support/bin-driver.ts';
import { sendJson } from '../support/mcp-answers.ts';
import { makeGate, startInitialized, startRelayed } from '../support/relayed.ts';
import type { RecordedRequest, ScriptedServer } from '../support/scripted-server.ts';

const INITIALIZE = `{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"vendor":{"big":12345678901234567890}},"clientInfo":{"name":"Ünïcode client","version":"1.0"}},"jsonrpc":"2.0","id":0}`;
const INITIALIZED = '{"method":"notifications/initialized","jsonrpc":"2.0"}';
const CALL = '{"method":"tools/call","params":{"name":"echo","arguments":{}},"jsonrpc":"2.0","id":1}';
const LIST = '{"method":"tools/list","jsonrpc":"2.0","id":1}';

/** A stateless request waits for nothing: its response shows that all that can be sent has been sent. */
async function roundTrip(bin: BinDriver, id: string): Promise<void> {
  const claim = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
  await bin.request('prompts/list', { _meta: claim }, id);
}

const received = (requests: readonly RecordedRequest[]): (string | undefined)[] =>
  requests
    .filter(({ rpc }) => rpc.method !== 'prompts/list')
    .map(({ method, rpc }) => (method === 'POST' ? rpc.method : method));

/** The GET and the first request travel on two connections, so either may arrive first. */
async function expectHandshake(server: ScriptedServer): Promise<void> {
  await server.until((requests) => received(requests).length === 4);
  const [first, second, ...others] = received(server.requests);
  expect([first, second]).toEqual(['initialize', 'notifications/initialized']);
  expect(others.toSorted()).toEqual(['GET', 'tools/list']);
}

describe('the handshake', () => {
  it('the handshake sends nothing before the response to initialize, although the client goes on writing', async () => {
    const gate = makeGate();
    const { server, bin } = await startRelayed({
      on: {
        initialize: async (_request, _response, { fallback }) => {
          await gate.opened;
          await fallback();
        },
      },
    });
    bin.write(`${INITIALIZE}\n${INITIALIZED}\n${LIST}\n`);
    await server.until((requests) => requests.length > 0);
    await roundTrip(bin, 'probe');
    expect(received(server.requests)).toEqual(['initialize']);
    gate.open();
    expect(await bin.answer(1)).toMatchObject({ id: 1, result: {} });
    await expectHandshake(server);
  });

  it('the handshake sends nothing before the server has accepted initialized, and then opens the standalone stream', async () => {
    const accepted = makeGate();
    const streaming = makeGate();
    const { server, bin } = await startRelayed({
      on: {
        'notifications/initialized': async (_request, _response, { fallback }) => {
          await accepted.opened;
          await fallback();
        },
        GET: async (_request, _response, { fallback }) => {
          await streaming.opened;
          await fallback();
        },
      },
    });
    bin.write(`${INITIALIZE}\n${INITIALIZED}\n${LIST}\n`);
    await server.until((requests) => received(requests).length === 2);
    await roundTrip(bin, 'first');
    expect(received(server.requests)).toEqual(['initialize', 'notifications/initialized']);
    accepted.open();
    // The response comes before the headers of the stream.
    await bin.answer(1);
    await expectHandshake(server);
    streaming.open();
  });

  it('a client that can answer server requests has its call sent after 1 s without headers of the standalone stream', async () => {
    const { bin } = await startRelayed({ on: { GET: () => undefined } });
    bin.write(`${INITIALIZE.replace('"vendor"', '"roots"')}\n${INITIALIZED}\n${CALL}\n`);
    expect(await bin.answer(1)).toMatchObject({ id: 1, result: {} });
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(bin.stderr).toBe('');
  });

  it('the handshake goes on if the server refuses initialized', async () => {
    const { bin } = await startRelayed({
      on: { 'notifications/initialized': (_request, response) => sendJson(response, 500, 'broken') },
    });
    bin.write(`${INITIALIZE}\n${INITIALIZED}\n${LIST}\n`);
    expect(await bin.answer(1)).toMatchObject({ id: 1, result: {} });
  });

  it('initialize passes byte for byte if no operating region is known', async () => {
    const { server, bin } = await startRelayed();
    bin.send(INITIALIZE);
    await bin.answer(0);
    expect(server.requests[0]?.text).toBe(INITIALIZE);
  });

  it('initialize gets the operating region, and nothing else, if it is known', async () => {
    const { server, bin } = await startRelayed({ env: { AWS_REGION: 'ap-south-1' } });
    bin.send(INITIALIZE);
    await bin.answer(0);
    const [before, after] = INITIALIZE.split('"protocolVersion"');
    expect(server.requests[0]?.text).toBe(
      `${before}"_meta":{"AWS_REGION":"ap-south-1"},"protocolVersion"${after}`,
    );
  });
});

describe('the headers of a session', () => {
  it('session headers are absent from initialize and present on each later POST, GET and DELETE', async () => {
    const { server, bin } = await startInitialized({
      protocolVersion: '2025-06-18',
      sessionId: () => 'session~1!',
    });
    await bin.request('tools/list');
    bin.notify('notifications/roots/list_changed');
    await server.until((requests) => requests.length === 5);
    bin.closeStdin();
    await bin.exit();
    const shown = server.requests.map(({ method, rpc, headers }) => [
      rpc.method ?? method,
      headers['mcp-session-id'],
      headers['mcp-protocol-version'],
      headers.accept,
    ]);
    const both = 'application/json, text/event-stream';
    expect(shown).toEqual([
      ['initialize', undefined, undefined, both],
      ['notifications/initialized', 'session~1!', '2025-06-18', both],
      ['GET', 'session~1!', '2025-06-18', 'text/event-stream'],
      ['tools/list', 'session~1!', '2025-06-18', both],
      ['notifications/roots/list_changed', 'session~1!', '2025-06-18', both],
      ['DELETE', 'session~1!', '2025-06-18', both],
    ]);
    expect(server.of('POST').map(({ headers }) => headers['content-type'])).toEqual(
      Array(4).fill('application/json'),
    );
  });

  it('session headers are absent if the server returns no session id, and nothing is deleted', async () => {
    const { server, bin } = await startInitialized({ sessionId: false });
    await bin.request('tools/list');
    bin.closeStdin();
    expect(await bin.exit()).toEqual({ code: 0, signal: null });
    expect(server.of('DELETE')).toEqual([]);
    expect(server.requests.filter(({ headers }) => 'mcp-session-id' in headers)).toEqual([]);
    expect(server.of('tools/list')[0]?.headers['mcp-protocol-version']).toBe('2025-11-25');
  });

  it('session headers come from the response to initialize only, not from later responses', async () => {
    const { server, bin } = await startInitialized({
      sessionId: () => 'the-first',
      on: {
        'tools/list': (_request, response, { fallback }) => {
          response.setHeader('mcp-session-id', 'another');
          return fallback();
        },
      },
    });
    await bin.request('tools/list');
    await bin.request('ping');
    expect(server.of('ping')[0]?.headers['mcp-session-id']).toBe('the-first');
  });

  it.each([405, 409, 404, 400, 501])(
    'a session works without its standalone stream if the GET is refused with %i',
    async (status) => {
      const { server, bin } = await startInitialized({
        on: { GET: (_request, response) => sendJson(response, status, '{}') },
      });
      expect(await bin.request('tools/list')).toMatchObject({ result: {} });
      expect(await bin.request('ping')).toMatchObject({ result: {} });
      bin.closeStdin();
      expect(await bin.exit()).toEqual({ code: 0, signal: null });
      expect(received(server.requests).filter((what) => what === 'GET' || what === 'DELETE')).toEqual([
        'GET',
        'DELETE',
      ]);
      expect(bin.stderr).toBe('');
    },
  );

  it('a client that initializes again leaves no session behind', async () => {
    const { server, mcp, bin } = await startInitialized();
    const [former] = mcp.sessions.keys();
    await bin.initialize();
    await bin.request('ping');
    const again = server.of('initialize')[1];
    expect(again?.headers['mcp-session-id']).toBeUndefined();
    await server.until((requests) => requests.some(({ method }) => method === 'DELETE'));
    expect(mcp.deleted).toEqual([former]);
    bin.closeStdin();
    await bin.exit();
    expect(mcp.sessions.size).toBe(0);
    expect(server.of('DELETE')).toHaveLength(2);
  });

  it('a session whose client left before initialized is deleted', async () => {
    const { server, mcp, bin } = await startRelayed();
    bin.send(INITIALIZE);
    await bin.answer(0);
    bin.closeStdin();
    await bin.exit();
    expect(received(server.requests)).toEqual(['initialize', 'DELETE']);
    expect(mcp.deleted).toHaveLength(1);
  });
});
