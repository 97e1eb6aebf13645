import * as http from 'node:http';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import type { HttpExchange } from '../../../src/core/pipeline/http-context.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { open, send, textOf } from '../../support/http-client.ts';
import { frontFor } from './http-rig.ts';

const MIB = 1_024 * 1_024;
const ping = { jsonrpc: '2.0', id: 0, method: 'ping' };

/** A front whose requests wait until the test answers them. */
async function heldFront() {
  const held: HttpExchange[] = [];
  const rig = await frontFor({
    post: async (_text, exchange) => {
      held.push(exchange);
    },
  });
  const answer = (exchange: HttpExchange | undefined, text: string): void => {
    void exchange
      ?.begin({ status: 200, headers: { 'content-length': String(text.length) } })
      .write(Buffer.from(text));
    exchange?.end();
  };
  return { ...rig, held, answer };
}

/** The bytes that a raw connection has received so far. */
function rawConnection(url: string) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  afterThisTest(() => void socket.destroy());
  const state = { socket, text: '', closed: false };
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    state.text += chunk;
  });
  socket.on('close', () => {
    state.closed = true;
  });
  return state;
}

const requestText = (body: string): string =>
  `POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

/** Resolves when the listener refuses connections. */
const refused = (url: string): Promise<void> =>
  expect
    .poll(async () => {
      const { socket } = rawConnection(url);
      return new Promise((resolve) => {
        socket.once('connect', () => resolve('connected')).once('error', () => resolve('refused'));
      }).finally(() => socket.destroy());
    })
    .toBe('refused');

/** A raw connection with one complete exchange. */
async function usedConnection({ url, held, answer }: Awaited<ReturnType<typeof heldFront>>) {
  const connection = rawConnection(url);
  const before = held.length;
  const exchange = async (text: string): Promise<void> => {
    connection.socket.write(requestText('1'));
    const at = held.length;
    await expect.poll(() => held.length).toBe(at + 1);
    answer(held[at], text);
    await expect.poll(() => connection.text).toContain(text);
  };
  await exchange(`used-${before}`);
  return { state: connection, exchange };
}

it('the last answer on a connection has Connection: close where it is in flight when the listener stops', async () => {
  const { front, clock, url, held, answer } = await heldFront();
  const agent = new http.Agent({ keepAlive: true });
  afterThisTest(() => agent.destroy());
  const waiting = open(url, { body: ping }, agent);
  await expect.poll(() => held.length).toBe(1);
  front.announce();
  const stopped = front.stopListening();
  await refused(url);
  answer(held[0], 'one');
  expect((await waiting).response.headers.connection).toBe('close');
  expect(await textOf((await waiting).response)).toBe('one');
  await clock.advance(1_000);
  await stopped;
});

it('a draining listener serves requests on new and kept connections, once each', async () => {
  const rig = await heldFront();
  const { front, clock, url, held, answer } = rig;
  const busy = await usedConnection(rig);
  const quiet = await usedConnection(rig);
  front.announce();
  await clock.advance(999);
  await busy.exchange('busy-1');
  await clock.advance(1);
  // Without a request for a second: it closes before the listening socket does.
  await quiet.exchange('quiet-1');
  await expect.poll(() => quiet.state.closed).toBe(true);
  expect(quiet.state.text.toLowerCase()).toContain('connection: close');
  // A load balancer without health checks would open another for each request.
  await busy.exchange('busy-2');
  expect(busy.state.text.toLowerCase()).not.toContain('connection: close');
  expect(busy.state.closed).toBe(false);
  const fresh = send(url, { body: ping });
  await expect.poll(() => held.length).toBe(6);
  answer(held[5], 'fresh');
  expect((await fresh).text).toBe('fresh');
  expect((await send(new URL('/readyz', url).href, { method: 'GET' })).text).toBe('leaving\n');
  expect((await send(new URL('/healthz', url).href, { method: 'GET' })).status).toBe(200);
});

it('a stopped listener serves one more request on open connections and refuses new ones', async () => {
  const rig = await heldFront();
  const { front, clock, url, held, answer } = rig;
  const quiet = await usedConnection(rig);
  front.announce();
  await clock.advance(1_000);
  const busy = await usedConnection(rig);
  const idle = await usedConnection(rig);
  const [fresh, half] = [rawConnection(url), rawConnection(url)];
  half.socket.write(requestText('3').slice(0, 30));
  await send(new URL('/healthz', url).href, { method: 'GET' });
  const stopped = front.stopListening();
  await refused(url);
  // A load balancer that has not noticed yet may still use it.
  await quiet.exchange('quiet');
  await expect.poll(() => quiet.state.closed).toBe(true);
  await busy.exchange('busy');
  await expect.poll(() => busy.state.closed).toBe(true);
  expect(busy.state.text.toLowerCase().split('connection: close')).toHaveLength(2);
  const before = held.length;
  fresh.socket.write(requestText('2'));
  half.socket.write(requestText('3').slice(30));
  await expect.poll(() => held.length).toBe(before + 2);
  answer(held[before], 'two');
  answer(held[before + 1], 'three');
  await expect
    .poll(() => [fresh, half].map(({ text }) => text.split('\r\n\r\n')[1]).sort())
    .toEqual(['three', 'two']);
  // A request may be on its way to a connection that was used a moment ago.
  expect(idle.state.closed).toBe(false);
  await clock.advance(1_000);
  await stopped;
  await expect.poll(() => idle.state.closed).toBe(true);
  expect(clock.timers).toBe(0);
});

it('a connection whose response had begun when the listener stops closes with the end of the body', async () => {
  const { front, clock, url, held } = await heldFront();
  const connection = rawConnection(url);
  connection.socket.write(requestText('1'));
  await expect.poll(() => held.length).toBe(1);
  const sink = held[0]?.begin({ status: 200, headers: { 'content-type': 'text/event-stream' } });
  void sink?.write(Buffer.from('data: 1\n\n'));
  await expect.poll(() => connection.text).toContain('data: 1');
  front.announce();
  const stopped = front.stopListening();
  await refused(url);
  expect(connection.closed).toBe(false);
  void sink?.write(Buffer.from('data: 2\n\n'));
  held[0]?.end();
  await expect.poll(() => connection.closed).toBe(true);
  expect(connection.text).toContain('data: 2');
  expect(connection.text.endsWith('0\r\n\r\n')).toBe(true);
  await clock.advance(1_000);
  await stopped;
});

it('a slow client receives the whole of an answer that was given before the end', async () => {
  const { front, clock, url, held } = await heldFront();
  const waiting = open(url, { body: ping });
  await expect.poll(() => held.length).toBe(1);
  const sink = held[0]?.begin({ status: 200, headers: { 'content-length': String(8 * MIB) } });
  // Small answers do not wait for room: these stand for one that is longer than what the system holds.
  for (let count = 0; count < 128; count++) void sink?.write(Buffer.alloc(MIB / 16, 'x'));
  held[0]?.end();
  const { response } = await waiting;
  response.pause();
  // The answer is complete, and most of it has not left.
  front.leave();
  const closed = front.close();
  expect((await textOf(response)).length).toBe(8 * MIB);
  await closed;
  await expect.poll(() => clock.timers).toBe(0);
});
