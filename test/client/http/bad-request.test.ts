import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { responseText, unreadableRefusal } from '../../../src/client/http/bad-request.ts';
import type { HttpHandlers } from '../../../src/client/http/route.ts';
import type { HttpExchange } from '../../../src/core/pipeline/http-context.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { send } from '../../support/http-client.ts';
import { comesTrue } from '../../upstream/http/connection-rig.ts';
import { frontFor } from './http-rig.ts';

const BODY = '{"jsonrpc":"2.0","id":0,"method":"ping"}';
const HEAD = 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
const REQUEST = `${HEAD}Content-Length: ${BODY.length}\r\n\r\n${BODY}`;
const GARBAGE = 'no request at all\r\n\r\n';

/** A connection whose side stays open until the test is over, and all that came back on it. */
function talk(url: string): {
  socket: Socket;
  heard: () => string;
  ended: () => boolean;
} {
  let text = '';
  let ended = false;
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true });
  socket
    .setEncoding('latin1')
    .on('data', (piece: string) => {
      text += piece;
    })
    .on('end', () => {
      ended = true;
    })
    .on('error', () => undefined);
  afterThisTest(() => void socket.destroy());
  return { socket, heard: () => text, ended: () => ended };
}

describe('bytes that are not HTTP', () => {
  it.each([
    ['HPE_HEADER_OVERFLOW', 431, '--max-headers'],
    ['ERR_HTTP_REQUEST_TIMEOUT', 408, 'too long'],
    ['HPE_INVALID_METHOD', 400, 'no HTTP'],
    [undefined, 400, 'no HTTP'],
  ])('an invalid request is answered in HTTP and in JSON-RPC: %s', (code, status, word) => {
    const text = responseText(unreadableRefusal(code, 4_096));
    const [head = '', body = ''] = text.split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} \\w.*\r\n`));
    expect(head).toContain(`content-length: ${Buffer.byteLength(body)}`);
    expect(head).toContain('connection: close');
    const message: unknown = JSON.parse(body);
    expect(message).toMatchObject({ jsonrpc: '2.0', error: { code: -32600 } });
    expect(message).not.toHaveProperty('id');
    expect(body).toContain(word);
  });

  it("an invalid request is answered, takes no client's place, and its connection is closed", async () => {
    const answered: Partial<HttpHandlers> = {
      forward: async (_method, exchange) => {
        exchange.begin({ status: 204, headers: {} });
        exchange.end();
      },
    };
    const { url, clock } = await frontFor(answered, { maxClients: 1 });
    const { socket, heard, ended } = talk(url);
    socket.write(GARBAGE);
    await comesTrue(ended, 'the answer');
    expect(heard()).toMatch(/^HTTP\/1\.1 400 /);
    expect((await send(url, { method: 'DELETE' })).status).toBe(204);
    await clock.advance(2_000);
    await comesTrue(() => {
      socket.write('x');
      return socket.destroyed;
    }, 'the end of the connection');
  });
});

describe('after a good request', () => {
  /** Answers as far as `upTo`, and then never ends. */
  const held = (upTo: 'nothing' | 'a part') => {
    const exchanges: HttpExchange[] = [];
    const gone: HttpExchange[] = [];
    const handlers: Partial<HttpHandlers> = {
      post: async (_text, exchange) => {
        exchange.onGone(() => gone.push(exchange));
        exchanges.push(exchange);
        if (upTo === 'nothing') return;
        const headers = { 'content-type': 'application/json', 'content-length': '400' };
        await exchange.begin({ status: 200, headers }).write(Buffer.from('a part'));
      },
    };
    return { exchanges, gone, handlers };
  };

  it.each(['nothing', 'a part'] as const)(
    'invalid bytes after a request of whose answer %s has left cut the connection',
    async (upTo) => {
      const { exchanges, gone, handlers } = held(upTo);
      const { url } = await frontFor(handlers);
      const { socket, heard, ended } = talk(url);
      socket.write(REQUEST);
      await comesTrue(() => exchanges.length === 1 && (upTo === 'nothing' || heard() !== ''), 'the request');
      const before = heard();
      socket.write(GARBAGE);
      await comesTrue(() => ended() && gone.length === 1, 'the end');
      expect(heard()).toBe(before);
    },
  );

  it('invalid bytes after an answered request get a 400 on the same connection', async () => {
    const { url } = await frontFor({
      post: async (_text, exchange) => {
        exchange.begin({ status: 202, headers: { 'content-length': '0' } });
        exchange.end();
      },
    });
    const { socket, heard, ended } = talk(url);
    socket.write(REQUEST);
    await comesTrue(() => heard() !== '', 'the answer');
    socket.write(GARBAGE);
    await comesTrue(ended, 'the refusal');
    expect(heard().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 202', 'HTTP/1.1 400']);
  });

  it('invalid bytes within the body of a request are refused', async () => {
    const { exchanges, handlers } = held('nothing');
    const { url } = await frontFor(handlers);
    const { socket, heard, ended } = talk(url);
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n{"jso\r\nzz\r\n`);
    await comesTrue(ended, 'the refusal');
    expect(heard()).toMatch(/^HTTP\/1\.1 400 /);
    expect(exchanges).toEqual([]);
  });
});
