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

it('an answer in flight when the listener starts to drain has Connection: close', async () => {
  const { front, url, held, answer } = await heldFront();
  const agent = new http.Agent({ keepAlive: true });
  afterThisTest(() => agent.destroy());
  const waiting = open(url, { body: ping }, agent);
  await expect.poll(() => held.length).toBe(1);
  front.announce();
  answer(held[0], 'one');
  expect((await waiting).response.headers.connection).toBe('close');
  expect(await textOf((await waiting).response)).toBe('one');
});

it('a draining listener serves requests on new and kept connections, once each', async () => {
  const { front, url, held, answer } = await heldFront();
  const kept = rawConnection(url);
  kept.socket.write(requestText('1'));
  await expect.poll(() => held.length).toBe(1);
  answer(held[0], 'one');
  await expect.poll(() => kept.text).toContain('one');
  front.announce();
  expect(kept.closed).toBe(false);
  kept.socket.write(requestText('2'));
  await expect.poll(() => held.length).toBe(2);
  answer(held[1], 'two');
  await expect.poll(() => kept.closed).toBe(true);
  expect(kept.text.toLowerCase()).toContain('connection: close');
  expect(kept.text.endsWith('two')).toBe(true);
  const fresh = send(url, { body: ping });
  await expect.poll(() => held.length).toBe(3);
  answer(held[2], 'three');
  expect((await fresh).text).toBe('three');
  expect((await send(new URL('/readyz', url).href, { method: 'GET' })).text).toBe('leaving\n');
  expect((await send(new URL('/healthz', url).href, { method: 'GET' })).status).toBe(200);
});

it('a stopped listener serves open connections, closes idle ones and refuses new ones', async () => {
  const { front, clock, url, held, answer } = await heldFront();
  const idle = rawConnection(url);
  idle.socket.write(requestText('1'));
  await expect.poll(() => held.length).toBe(1);
  answer(held[0], 'one');
  await expect.poll(() => idle.text).toContain('one');
  const [fresh, half] = [rawConnection(url), rawConnection(url)];
  half.socket.write(requestText('3').slice(0, 30));
  await send(new URL('/healthz', url).href, { method: 'GET' });
  front.announce();
  const stopped = front.stopListening();
  await expect.poll(() => idle.closed).toBe(true);
  await expect(send(url, { body: ping })).rejects.toThrow('ECONNREFUSED');
  fresh.socket.write(requestText('2'));
  half.socket.write(requestText('3').slice(30));
  await expect.poll(() => held.length).toBe(3);
  answer(held[1], 'two');
  answer(held[2], 'three');
  await stopped;
  await expect
    .poll(() => [fresh, half].map(({ text }) => text.split('\r\n\r\n')[1]).sort())
    .toEqual(['three', 'two']);
  expect(clock.timers).toBe(0);
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
