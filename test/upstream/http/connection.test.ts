import { createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { afterPoll } from '../../../src/core/time/poll-phase.ts';
import { Connection, type ConnectionOptions } from '../../../src/upstream/http/connection.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { Connections, listenOnLoopback, shut } from '../../support/connections.ts';
import { type Behaviour, ScriptedServer } from '../../support/scripted-server.ts';
import { comesTrue, directly } from './connection-rig.ts';

function connectionTo(origin: string, options: Partial<ConnectionOptions> = {}) {
  const seen = { opened: 0, closed: 0 };
  const connection = new Connection({
    origin,
    connect: directly,
    keepAliveTimeoutMs: 30_000,
    onOpen: () => {
      seen.opened++;
    },
    onClose: () => {
      seen.closed++;
    },
    ...options,
  });
  afterThisTest(() => connection.destroy());
  const outcomes: boolean[] = [];
  const send = (path = '/', body?: string) =>
    connection.send(
      {
        method: body === undefined ? 'GET' : 'POST',
        path,
        headers: { host: 'test' },
        ...(body === undefined ? {} : { body: Buffer.from(body) }),
      },
      (reusable) => outcomes.push(reusable),
    );
  const fetch = async (path = '/') => (await (await send(path)).readAll()).toString();
  return { connection, seen, outcomes, send, fetch };
}

const scripted = (behaviour: Behaviour, keepAliveTimeoutMs = 0) =>
  ScriptedServer.start(behaviour, { keepAliveTimeoutMs });

describe('a connection', () => {
  it('a connection opens with its first request and carries the next ones', async () => {
    const server = await scripted((request, response) => void response.end(request.url));
    const { connection, seen, outcomes, fetch } = connectionTo(server.origin);
    expect([connection.open, connection.warm, seen.opened]).toEqual([false, false, 0]);
    expect(await fetch('/a')).toBe('/a');
    expect([connection.open, connection.warm]).toEqual([true, true]);
    expect(await fetch('/b')).toBe('/b');
    expect([seen, outcomes, server.connections.opened]).toEqual([{ opened: 1, closed: 0 }, [true, true], 1]);
  });

  it('a connection opens again after the server closed it', async () => {
    const server = await scripted((_request, response) => {
      response.setHeader('connection', 'close');
      response.end('bye');
    });
    const { connection, seen, fetch } = connectionTo(server.origin);
    expect(await fetch()).toBe('bye');
    await comesTrue(() => seen.closed === 1, 'closed');
    expect([connection.open, connection.warm]).toEqual([false, false]);
    expect(await fetch()).toBe('bye');
    await comesTrue(() => seen.closed === 2, 'closed again');
    expect(seen.opened).toBe(2);
  });

  it('a connection skips informational responses', async () => {
    const server = await scripted(async (_request, response) => {
      response.writeProcessing();
      response.writeEarlyHints({ link: '</a>; rel=preload' });
      response.end('final');
    });
    const { send, outcomes } = connectionTo(server.origin);
    const incoming = await send();
    expect([incoming.status, (await incoming.readAll()).toString(), outcomes]).toEqual([
      200,
      'final',
      [true],
    ]);
  });

  it('a connection accepts an answer that arrives before the request is complete', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig');
    });
    const port = await listenOnLoopback(server);
    const connections = new Connections(server);
    afterThisTest(() => shut(server, connections));
    const { send } = connectionTo(`http://127.0.0.1:${port}`);
    const incoming = await send('/', 'x'.repeat(1_000_000));
    expect([incoming.status, (await incoming.readAll()).toString()]).toEqual([413, 'big']);
  });
});

describe('a request on a connection that has answered', () => {
  /** Sends after the poll phase; resolves with whether that wrote the request at once. */
  const isWrittenAtOnce = (connection: Connection): Promise<boolean> =>
    new Promise((resolve, reject) =>
      afterPoll(() => {
        let started = false;
        const onStart = (): void => {
          started = true;
        };
        const request = { method: 'GET', path: '/', headers: { host: 'test' }, onStart };
        connection.send(request, () => undefined).catch(reject);
        resolve(started);
      }),
    );

  it('a request after the poll phase is written at once where the connection answered in an earlier turn', async () => {
    const server = await scripted((_request, response) => void response.end());
    const { connection, fetch } = connectionTo(server.origin);
    await fetch();
    await nextTurn();
    expect(await isWrittenAtOnce(connection)).toBe(true);
    await server.until((requests) => requests.length === 2);
  });

  it('a request after the poll phase is not written before a close behind the answer of this turn can be seen', async () => {
    const server = await scripted((_request, response) => void response.end());
    const { connection } = connectionTo(server.origin);
    const written = await new Promise<boolean>((resolve, reject) => {
      const over = (): void => void isWrittenAtOnce(connection).then(resolve, reject);
      connection.send({ method: 'GET', path: '/', headers: { host: 'test' } }, over).catch(reject);
    });
    expect(written).toBe(false);
    await server.until((requests) => requests.length === 2);
  });

  it('a request after the poll phase never gets a response that came before it', async () => {
    const sockets: Socket[] = [];
    const answer = (body: string): string =>
      `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', () => socket.write(answer('asked')));
    });
    const port = await listenOnLoopback(server);
    const connections = new Connections(server);
    afterThisTest(() => shut(server, connections));
    const { fetch } = connectionTo(`http://127.0.0.1:${port}`);
    await fetch();
    await nextTurn();
    sockets[0]?.write(answer('stray'));
    const second = await new Promise((resolve, reject) => afterPoll(() => fetch().then(resolve, reject)));
    expect([second, sockets.length]).toEqual(['asked', 2]);
  });
});

describe('the end of an idle connection', () => {
  it('an idle connection closes after --keepalive-timeout', async () => {
    const server = await scripted((_request, response) => void response.end());
    const { seen, fetch } = connectionTo(server.origin, { keepAliveTimeoutMs: 50 });
    await fetch();
    await comesTrue(() => seen.closed === 1, 'closed by us');
    await comesTrue(() => server.connections.open === 0, 'closed at the server');
  });

  it('an idle connection closes earlier if the server hints at less', async () => {
    // undici closes one second or two ahead of the hint, so that no request meets the server's own close.
    const server = await scripted((_request, response) => {
      response.setHeader('keep-alive', 'timeout=1');
      response.end();
    });
    const { seen, fetch } = connectionTo(server.origin, { keepAliveTimeoutMs: 600_000 });
    await fetch();
    await comesTrue(() => seen.closed === 1, 'closed by the hint');
  });

  it('an idle connection closes no later if the server hints at more', async () => {
    const server = await scripted((_request, response) => {
      response.setHeader('keep-alive', 'timeout=600');
      response.end();
    });
    const { seen, fetch } = connectionTo(server.origin, { keepAliveTimeoutMs: 50 });
    await fetch();
    await comesTrue(() => seen.closed === 1, 'closed by the limit');
  });
});

describe('how far a failed request got', () => {
  it('a failed request sent no byte if nothing listens', async () => {
    const probe = createServer();
    const port = await listenOnLoopback(probe);
    await new Promise((resolve) => probe.close(resolve));
    const { send, outcomes } = connectionTo(`http://127.0.0.1:${port}`);
    await expect(send()).rejects.toMatchObject({
      name: 'TransportFailure',
      message: expect.stringContaining('ECONNREFUSED'),
      sent: 'no',
      reused: false,
    });
    expect(outcomes).toEqual([false]);
  });

  it('a failed request sent no byte if the connection is destroyed', async () => {
    const { connection, send, outcomes } = connectionTo('http://127.0.0.1:1');
    connection.destroy();
    connection.destroy();
    await expect(send()).rejects.toMatchObject({ sent: 'no', reused: false });
    expect(outcomes).toEqual([false]);
  });

  it('a failed request may be sent whole if the server cuts a new connection', async () => {
    const server = await scripted((_request, response) => void response.destroy());
    const { send, outcomes } = connectionTo(server.origin);
    await expect(send('/', '{}')).rejects.toMatchObject({ sent: 'maybe', reused: false });
    expect(outcomes).toEqual([false]);
  });

  it('a failed request may be sent whole on a connection that had served before', async () => {
    const server = await scripted((request, response) => {
      if (request.url === '/second') response.destroy();
      else response.end();
    });
    const { send, fetch, outcomes, seen } = connectionTo(server.origin);
    await fetch('/first');
    await expect(send('/second')).rejects.toMatchObject({ sent: 'maybe', reused: true });
    expect(outcomes).toEqual([true, false]);
    await fetch('/third');
    expect(seen.opened).toBe(2);
  });

  it('a failed request may be sent whole if we cut it', async () => {
    const server = await scripted(() => undefined);
    const { connection, send, outcomes } = connectionTo(server.origin);
    const sent = send('/', '{}');
    await server.until((requests) => requests.length === 1);
    connection.destroy(new Error('cancelled'));
    await expect(sent).rejects.toMatchObject({ message: 'cancelled', sent: 'maybe', reused: false });
    expect(outcomes).toEqual([false]);
  });

  it('a broken body rejects where it is read', async () => {
    const server = await scripted((_request, response) => {
      response.setHeader('content-length', '100');
      response.write('part');
      setImmediate(() => response.destroy());
    });
    const { send, outcomes } = connectionTo(server.origin);
    const incoming = await send();
    await expect(incoming.readAll()).rejects.toThrow();
    await comesTrue(() => outcomes.length === 1, 'over');
    expect(outcomes).toEqual([false]);
  });
});
