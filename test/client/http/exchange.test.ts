import { createServer } from 'node:http';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { ServerExchange } from '../../../src/client/http/exchange.ts';
import { SessionAges } from '../../../src/client/http/session-ages.ts';
import { UnreadAnswers } from '../../../src/client/http/unread-answers.ts';
import { systemClock } from '../../../src/core/time/clock.ts';
import { afterThisTest } from '../../support/cleanup.ts';

it('many writes that wait for a slow client share one listener, and all end with the connection', async () => {
  const waiting = new Promise<{ listeners: number; written: Promise<unknown> }>((resolve) => {
    const server = createServer((request, response) => {
      const exchange = new ServerExchange(
        request,
        response,
        { address: '', token: undefined, expiresAt: undefined, user: undefined },
        {
          clock: systemClock,
          ages: new SessionAges({ clock: systemClock, onEnded: () => undefined }),
          unread: new UnreadAnswers(),
          forwarded: new Set(),
        },
      );
      response.on('close', () => exchange.settle());
      const sink = exchange.begin({ status: 200, headers: {} });
      const written = Promise.all(Array.from({ length: 300 }, () => sink.write(Buffer.alloc(64 * 1024))));
      resolve({ listeners: response.listenerCount('drain'), written });
    });
    afterThisTest(() => void server.close());
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const socket = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1');
      socket.pause().write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      void waiting.then(() => socket.destroy());
    });
  });
  const { listeners, written } = await waiting;
  expect(listeners).toBe(1);
  await written;
});
