import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { responseText, unreadableRefusal } from '../../../src/client/http/bad-request.ts';
import type { HttpHandlers } from '../../../src/client/http/server.ts';
import type { HttpExchange } from '../../../src/core/pipeline/http-context.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { send } from '../../support/http-client.ts';
import { comesTrue } from '../../upstream/http/lane-rig.ts';
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

describe('what is no request', () => {
  it.each([
    ['HPE_HEADER_OVERFLOW', 431, '--max-headers'],
    ['ERR_HTTP_REQUEST_TIMEOUT', 408, 'too long'],
    ['HPE_INVALID_METHOD', 400, 'no HTTP'],
    [undefined, 400, 'no HTTP'],
  ])('is said so as HTTP and as JSON-RPC: %s', (code, status, word) => {
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

  it('is answered, takes no place of a client, and is closed even where it does not let go', async () => {
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
    'of whose answer %s has left it cuts the connection, and is never taken for the answer',
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

  it('that was answered is told so on the same connection', async () => {
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

  it('rejects unparsable bytes within the body of a request', async () => {
    const { exchanges, handlers } = held('nothing');
    const { url } = await frontFor(handlers);
    const { socket, heard, ended } = talk(url);
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n{"jso\r\nzz\r\n`);
    await comesTrue(ended, 'the refusal');
    expect(heard()).toMatch(/^HTTP\/1\.1 400 /);
    expect(exchanges).toEqual([]);
  });
});
