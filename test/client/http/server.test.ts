import { existsSync, readFileSync } from 'node:fs';
import * as http from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { HttpHandlers } from '../../../src/client/http/route.ts';
import type { HttpExchange } from '../../../src/core/pipeline/http-context.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { open, send, textOf } from '../../support/http-client.ts';
import { comesTrue } from '../../upstream/http/connection-rig.ts';
import { frontFor } from './http-rig.ts';

const MIB = 1_024 * 1_024;
const ping = { jsonrpc: '2.0', id: 0, method: 'ping' };

const answer = (exchange: HttpExchange, text: string): void => {
  void exchange.begin({ status: 200, headers: { 'content-type': 'text/plain' } }).write(Buffer.from(text));
  exchange.end();
};

it('the listener passes on the text of a body without a byte order mark', async () => {
  const { url } = await frontFor({ post: async (text, exchange) => answer(exchange, `got ${text}`) });
  expect((await send(url, { body: '\uFEFF {"é":1}\n' })).text).toBe('got  {"é":1}\n');
});

it('the listener distinguishes GET from DELETE', async () => {
  const { url } = await frontFor({ forward: async (method, exchange) => answer(exchange, method) });
  for (const method of ['GET', 'DELETE']) expect((await send(url, { method })).text).toBe(method);
});

describe('a client that does not read', () => {
  it('a client that does not read is waited for, and cut after a minute', async () => {
    let written = 0;
    let over = false;
    const { url, clock } = await frontFor({
      post: async (_text, exchange) => {
        exchange.onGone(() => {
          over = true;
        });
        const sink = exchange.begin({ status: 200, headers: {} });
        for (; written < 1_000 && !over; written++) await sink.write(Buffer.alloc(64 * 1_024));
      },
    });
    const { response } = await open(url, { body: ping });
    response.pause();
    await comesTrue(() => clock.timers > 0, 'a write that waits');
    const stalledAt = written;
    await clock.advance(59_999);
    expect([written, over]).toEqual([stalledAt, false]);
    await clock.advance(1);
    await comesTrue(() => over, 'the cut');
    expect(written).toBeLessThan(1_000);
    await expect(textOf(response)).rejects.toThrow('aborted');
  });

  it('a client that does not read for a while receives everything', async () => {
    const { url, clock } = await frontFor({
      post: async (_text, exchange) => {
        const sink = exchange.begin({ status: 200, headers: {} });
        for (let count = 0; count < 200; count++) await sink.write(Buffer.alloc(64 * 1_024, 'x'));
        exchange.end();
      },
    });
    const { response } = await open(url, { body: ping });
    response.pause();
    await comesTrue(() => clock.timers > 0, 'a write that waits');
    await clock.advance(50_000);
    expect((await textOf(response)).length).toBe(200 * 64 * 1_024);
    expect(clock.timers).toBe(0);
  });
});

describe('an answer that is read as a whole before it is written', () => {
  const whole =
    (bytes: number): HttpHandlers['post'] =>
    async (_text, exchange) => {
      const sink = exchange.begin({ status: 200, headers: { 'content-length': String(bytes + 1) } });
      void sink.write(Buffer.alloc(bytes, 'x'));
      void sink.write(Buffer.from('.'));
      exchange.end();
    };

  it('a long answer arrives whole and in order', async () => {
    const { url } = await frontFor({ post: whole(MIB) });
    expect((await send(url, { body: ping })).text).toBe(`${'x'.repeat(MIB)}.`);
  });

  it('a long answer reaches a slow client, however long it takes', async () => {
    const { url, clock } = await frontFor({ post: whole(64 * MIB) });
    const { response } = await open(url, { body: ping });
    let read = 0;
    // More than the systems on both sides hold: what was written last is read before the clock goes on.
    let upTo = 16 * MIB;
    for await (const chunk of response) {
      read += (chunk as Buffer).length;
      if (read < upTo) continue;
      upTo += 16 * MIB;
      await clock.advance(50_000);
    }
    expect(read).toBe(64 * MIB + 1);
    expect(clock.timers).toBe(0);
  });

  it('a long answer is cut for a client that does not read for a minute', async () => {
    const { url, clock } = await frontFor({ post: whole(64 * MIB) });
    const { response } = await open(url, { body: ping });
    response.pause();
    await comesTrue(() => clock.timers > 0, 'a write that waits');
    await clock.advance(60_000);
    await expect(textOf(response)).rejects.toThrow('aborted');
  });

  it('the oldest long answer is cut if all together exceed the memory', async () => {
    const { url, clock } = await frontFor({ post: whole(48 * MIB) });
    const opened: http.IncomingMessage[] = [];
    for (const waiting of [1, 2, 2]) {
      const { response } = await open(url, { body: ping });
      opened.push(response.pause());
      await comesTrue(() => clock.timers === waiting, 'a write that waits');
    }
    const [first, ...others] = opened.map((response) => textOf(response));
    await expect(first).rejects.toThrow('aborted');
    for (const text of others) expect((await text).length).toBe(48 * MIB + 1);
  });
});

describe('an answer that breaks off', () => {
  it.each([
    ['HTTP/1.1', {}, 'ended'],
    ['HTTP/1.0', { 'content-type': 'text/event-stream' }, 'ECONNRESET'],
    ['HTTP/1.0', { 'content-length': '400' }, 'ECONNRESET'],
  ])('an answer that breaks off is not taken for a whole one: %s %j', async (version, headers, how) => {
    let held: HttpExchange | undefined;
    const { url } = await frontFor({
      post: async (_text, exchange) => {
        held = exchange;
        await exchange.begin({ status: 200, headers }).write(Buffer.from('a part'));
      },
    });
    let text = '';
    let end = '';
    const client = connect(Number(new URL(url).port), '127.0.0.1');
    afterThisTest(() => void client.destroy());
    client.setEncoding('latin1').on('data', (piece: string) => {
      text += piece;
    });
    client.on('end', () => {
      end = 'ended';
    });
    client.on('error', (error: NodeJS.ErrnoException) => {
      end = String(error.code);
    });
    client.write(
      `POST /mcp ${version}\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
    );
    await comesTrue(() => text.includes('a part'), 'the part');
    held?.breakOff();
    await comesTrue(() => end !== '', 'the end');
    expect(end).toBe(how);
    // The chunk that ends an answer is missing.
    expect(text.endsWith('0\r\n\r\n')).toBe(false);
  });
});

describe('100 Continue', () => {
  it.each([
    ['HTTP/1.1', ['100', '202']],
    // It would take the leave for the answer.
    ['HTTP/1.0', ['202']],
  ])('100 Continue is sent to a client of %s that understands it', async (version, statuses) => {
    const { url } = await frontFor({
      post: async (_text, exchange) => {
        exchange.begin({ status: 202, headers: { 'content-length': '0' } });
        exchange.end();
      },
    });
    let text = '';
    const client = connect(Number(new URL(url).port), '127.0.0.1');
    afterThisTest(() => void client.destroy());
    client.setEncoding('latin1').on('data', (piece: string) => {
      text += piece;
    });
    client.write(
      `POST /mcp ${version}\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}`,
    );
    await comesTrue(() => text.includes(' 202 '), 'the answer');
    expect(Array.from(text.matchAll(/HTTP\/1\.1 (\d+)/g), ([, status]) => status)).toEqual(statuses);
  });
});

it('the host of an idle client is probed by TCP keep-alive', async ({ skip }) => {
  const { url } = await frontFor({
    forward: async (_method, exchange) => void exchange.begin({ status: 200, headers: {} }),
  });
  const { request } = await open(url, { method: 'GET', headers: { accept: 'text/event-stream' } });
  const here = `:${request.socket?.localPort?.toString(16).toUpperCase().padStart(4, '0')}`;
  /** Kind 02: a timer runs, and no byte waits for its acknowledgement. */
  const isAsked = (column: number): boolean =>
    readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .some((fields) => fields[column]?.endsWith(here) && fields[5]?.startsWith('02:'));
  request.socket?.setKeepAlive(true, 60_000);
  // Only some systems show it.
  if (!existsSync('/proc/net/tcp') || !isAsked(1)) skip();
  await comesTrue(() => isAsked(2), 'the timer of the listener');
});

describe('onGone', () => {
  /** Bytes on a connection of their own. */
  const talk = (url: string, bytes: string): Socket => {
    const client = connect(Number(new URL(url).port), '127.0.0.1', () => client.write(bytes));
    afterThisTest(() => void client.destroy());
    return client.on('error', () => undefined).resume();
  };
  const GET = 'GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const post = (body: string): string =>
    `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

  it('onGone is called for a request of a client that disconnects, and pipelined requests do not start', async () => {
    const taken: string[] = [];
    const gone: string[] = [];
    let first: HttpExchange | undefined;
    const { url } = await frontFor(
      {
        post: async (text, exchange) => {
          first ??= exchange;
          taken.push(text);
          exchange.onGone(() => gone.push(text));
        },
      },
      { maxClients: 3 },
    );
    const client = talk(url, ['0', '1', '2'].map(post).join(''));
    await comesTrue(() => taken.length === 1, 'the first');
    // All of them count.
    expect((await send(url, { body: ping })).status).toBe(503);
    expect(taken).toEqual(['0']);
    if (first) answer(first, 'done');
    await comesTrue(() => taken.length === 2, 'the second');
    client.destroy();
    await comesTrue(() => gone.length > 0, 'word of it');
    expect([taken, gone]).toEqual([['0', '1'], ['1']]);
    void send(url, { body: 'last' }).catch(() => undefined);
    await comesTrue(() => taken.includes('last'), 'a free place');
  });

  it.each([
    ['refusals that wait for their turn', GET + 'PUT /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(14)],
    ['requests that wait for their turn', GET + post('x'.repeat(1_000)).repeat(14)],
    [
      'a body that was not asked for',
      GET.replace('\r\n\r\n', `\r\nContent-Length: ${MIB}\r\n\r\n`) + 'x'.repeat(MIB),
    ],
    [
      'bodies behind it',
      GET + GET.replace('\r\n\r\n', `\r\nContent-Length: ${MIB}\r\n\r\n`) + 'x'.repeat(MIB),
    ],
  ])('onGone is called for a stream with more bytes behind it: %s', async (_what, bytes) => {
    let open = 0;
    const { url } = await frontFor({
      forward: async (_method, exchange) => {
        open++;
        exchange.onGone(() => open--);
        exchange.begin({ status: 200, headers: { 'content-type': 'text/event-stream' } });
      },
    });
    const client = talk(url, bytes);
    await comesTrue(() => open === 1 && client.bytesRead > 0 && client.writableLength === 0, 'the stream');
    client.destroy();
    await comesTrue(() => open === 0, 'its end');
  });

  it('onGone is called for a stream with too much behind it', async () => {
    let gone = 0;
    const { url } = await frontFor({ forward: async (_method, exchange) => exchange.onGone(() => gone++) });
    const client = talk(url, GET.repeat(17));
    await new Promise((resolve) => client.on('close', resolve));
    await comesTrue(() => gone === 1, 'word of it');
  });

  it('onGone is called once, also for a late listener, and never after a whole answer', async () => {
    const told: string[] = [];
    let held: HttpExchange | undefined;
    const { url } = await frontFor({
      post: async (text, exchange) => {
        exchange.onGone(() => told.push(text));
        if (text === '1') held = exchange;
        else answer(exchange, 'whole');
      },
    });
    await send(url, { body: '0' });
    const request = http.request(url, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json' },
    });
    request.on('error', () => undefined).end('1');
    await comesTrue(() => held !== undefined, 'the request');
    request.destroy();
    await comesTrue(() => told.length > 0, 'word of it');
    held?.onGone(() => told.push('late'));
    expect(told).toEqual(['1', 'late']);
    // Later writes are lost, and do not wait.
    const sink = held?.begin({ status: 200, headers: {} });
    await sink?.write(Buffer.alloc(1_000_000));
    held?.end();
  });
});

describe('drain of the listener', () => {
  it('a draining listener is alive and not ready, and its last answers are sent', async () => {
    let finish = (): void => undefined;
    const { url, front, clock } = await frontFor({
      post: async (_text, exchange) => {
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        answer(exchange, 'last');
      },
    });
    const agent = new http.Agent({ keepAlive: true });
    afterThisTest(() => agent.destroy());
    const flying = send(url, { body: ping }, agent);
    const health = (path: string) => send(new URL(path, url).href, { method: 'GET' });
    expect((await health('/readyz')).status).toBe(200);
    front.leave();
    expect([(await health('/healthz')).status, (await health('/readyz')).status]).toEqual([200, 503]);
    finish();
    const closed = front.close();
    expect((await flying).text).toBe('last');
    await clock.advance(2_000);
    await closed;
    await expect(send(url, { body: ping })).rejects.toThrow('ECONNREFUSED');
  });
});

it('refused requests are reported with their status', async () => {
  const { url, refused } = await frontFor({});
  await send(url, { method: 'PUT' });
  await send(url, { body: 'x'.repeat(2_000) });
  await send(url, { headers: { host: 'evil.example' }, body: ping });
  expect(refused).toEqual([405, 413, 403]);
});
