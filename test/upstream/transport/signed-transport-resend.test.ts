import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { NO_SUCH_HOST } from '../../support/connections.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { comesTrue, never } from '../http/connection-rig.ts';
import { transportTo } from './transport-rig.ts';

/** Cuts the connection, without an answer, for every request whose body the set holds, once. */
const cutting = (...bodies: string[]) => {
  const left = new Set(bodies);
  return ScriptedServer.start(
    (request, response) => {
      if (left.delete(request.text)) response.destroy();
      else response.end(`ran ${request.text}`);
    },
    { keepAliveTimeoutMs: 0 },
  );
};

const bodiesOf = (server: ScriptedServer): string[] => server.requests.map(({ text }) => text);

describe('a kept connection that the server closes', () => {
  it('a request that may run twice is re-sent on a new connection if the server closes a kept one', async () => {
    const server = await cutting('second');
    const { post, attempts } = transportTo(server);
    await post('first', { idempotent: true });
    expect(await post('second', { idempotent: true })).toMatchObject({ status: 200, text: 'ran second' });
    expect(bodiesOf(server)).toEqual(['first', 'second', 'second']);
    expect(server.requests.map(({ connection }) => connection)).toEqual([1, 1, 2]);
    expect(attempts()).toBe(3);
  });

  it('a tool call is never re-sent if the server closes a kept connection', async () => {
    const server = await cutting('call');
    const { post, seen } = transportTo(server);
    await post('first');
    const { host } = new URL(server.url);
    await expect(post('call')).rejects.toMatchObject({
      reason: 'connection-lost',
      sent: 'maybe',
      message: expect.stringMatching(
        new RegExp(
          `^The connection to ${host} broke before the answer was complete: .*check before you repeat it\\.$`,
        ),
      ),
    });
    expect(bodiesOf(server)).toEqual(['first', 'call']);
    expect(seen.filter(({ type }) => type === 'http.failed')).toHaveLength(1);
    expect(await post('next')).toMatchObject({ text: 'ran next' });
  });

  it('a closed kept connection is forgiven once: a new connection that breaks is an error', async () => {
    const server = await ScriptedServer.start((request, response) => {
      if (request.text === 'first') response.end();
      else response.destroy();
    });
    const { post } = transportTo(server);
    await post('first');
    await expect(post('second', { idempotent: true })).rejects.toMatchObject({
      reason: 'connection-lost',
      sent: 'maybe',
    });
    expect(bodiesOf(server)).toEqual(['first', 'second', 'second']);
  });

  it('a closed new connection is an error without another attempt', async () => {
    const server = await cutting('first');
    const { post } = transportTo(server);
    await expect(post('first', { idempotent: true })).rejects.toMatchObject({ reason: 'connection-lost' });
    expect(bodiesOf(server)).toEqual(['first']);
  });

  it('a server that closes after each answer unannounced does not fail one call after the other', async () => {
    const server = await ScriptedServer.start(
      (request, response) => {
        response.end(`ran ${request.text}`);
        response.on('finish', () => request.socket.end());
      },
      { keepAliveTimeoutMs: 0 },
    );
    const { post } = transportTo(server);
    for (let call = 0; call < 30; call++) {
      expect(await post(`call ${call}`)).toMatchObject({ status: 200, text: `ran call ${call}` });
      // A client's next call comes over a pipe, after the answer has gone out over one.
      await turn();
    }
    expect(server.requests).toHaveLength(30);
  });

  it('a server that closes unannounced does not fail calls that wait for a connection', async () => {
    const server = await ScriptedServer.start(
      (request, response) => {
        response.end(`ran ${request.text}`);
        request.socket.end();
      },
      { keepAliveTimeoutMs: 0 },
    );
    const { post } = transportTo(server);
    const texts = Array.from({ length: 30 }, (_, call) => `call ${call}`);
    const answers = await Promise.all(texts.map((text) => post(text)));
    expect(answers.map(({ text }) => text)).toEqual(texts.map((text) => `ran ${text}`));
    expect(server.requests).toHaveLength(30);
  });

  it('a kept connection is not used if its end was seen before', async () => {
    const server = await cutting();
    const { post } = transportTo(server);
    await post('first');
    server.connections.destroyAll();
    await comesTrue(() => server.connections.open === 0, 'closed');
    await turn();
    expect(await post('call')).toMatchObject({ text: 'ran call' });
    expect(server.connections.opened).toBe(2);
  });
});

describe('an abandoned signed request', () => {
  it('an abandoned signed request rejects with the reason, and gives its place to the next', async () => {
    const server = await ScriptedServer.start((request, response) => {
      if (request.text !== 'slow') response.end('ok');
    });
    const { open, post, lanes } = transportTo(server);
    const controller = new AbortController();
    const slow = open('slow', {
      signal: controller.signal,
      observer: { onAttempt: (lease) => lease.cancelOn(controller.signal) },
    });
    const next = post('next');
    await server.until((requests) => requests.length === 1);
    const reason = new Error('cancelled');
    controller.abort(reason);
    await expect(slow).rejects.toBe(reason);
    expect(await next).toMatchObject({ text: 'ok' });
    expect([lanes.request.active, lanes.request.waiting]).toEqual([0, 0]);
  });

  it('a signed request that is abandoned while its credentials are fetched sends nothing', async () => {
    const server = await cutting();
    const { open, keys, lanes } = transportTo(server);
    const controller = new AbortController();
    const reason = new Error('cancelled');
    keys.current = async () => {
      controller.abort(reason);
      throw reason;
    };
    await expect(open('call', { signal: controller.signal })).rejects.toBe(reason);
    expect([server.requests.length, server.connections.opened, lanes.request.active]).toEqual([0, 0, 0]);
  });
});

describe('errors of connecting', () => {
  it.each([
    [
      'http://127.0.0.1:1',
      /^Cannot connect to 127\.0\.0\.1:1: connect ECONNREFUSED.*Nothing listens there: check the host and port of the endpoint URL\.$/,
    ],
    [
      `http://${NO_SUCH_HOST}`,
      /^Cannot connect to n+\.invalid: getaddrinfo \w+ n+\.invalid\. The name does not resolve: check the endpoint URL, DNS and the network\.$/,
    ],
  ])('a failed connection to %s names what to check', async (origin, message) => {
    const { post, lanes } = transportTo({ origin, url: `${origin}/mcp` });
    await expect(post('call')).rejects.toMatchObject({
      reason: 'connect-failed',
      sent: 'no',
      message: expect.stringMatching(message),
    });
    expect(lanes.request.active).toBe(0);
  });
});

describe('requests of the proxy', () => {
  it('a request of the proxy uses an idle connection of the requests, and waits for none', async () => {
    const { post, lanes } = transportTo(await cutting(), { max: 1 });
    expect(await post('free', { lane: 'own' })).toMatchObject({ text: 'ran free' });
    const busy = await lanes.request.lease(never);
    expect(await post('busy', { lane: 'own' })).toMatchObject({ text: 'ran busy' });
    expect(lanes.request.waiting).toBe(0);
    busy.cancel(new Error('over'));
  });
});
