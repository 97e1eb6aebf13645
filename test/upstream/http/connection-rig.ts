import type { ServerResponse } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { systemClock } from '../../../src/core/time/clock.ts';
import { createConnector } from '../../../src/upstream/http/connect.ts';
import { ConnectionPool, type ConnectionPoolOptions } from '../../../src/upstream/http/connection-pool.ts';
import type { Incoming } from '../../../src/upstream/http/incoming.ts';
import type { Lease } from '../../../src/upstream/http/lease.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import {
  type RecordedRequest,
  ScriptedServer,
  type ScriptedServerOptions,
} from '../../support/scripted-server.ts';

export const never = new AbortController().signal;

export const directly = createConnector({
  proxy: { url: undefined, env: {} },
  ca: undefined,
  timeoutMs: 10_000,
});

/** A lane to `server` that ends with the test, with what it reported. */
export function poolTo(server: ScriptedServer, options: Partial<ConnectionPoolOptions> = {}) {
  const seen = { opened: 0, closed: 0 };
  const pool = new ConnectionPool({
    origin: server.origin,
    connect: directly,
    max: 2,
    maxIdle: 1,
    keepAliveTimeoutMs: 30_000,
    lifetimeMs: 0,
    clock: systemClock,
    onOpen: () => {
      seen.opened++;
    },
    onClose: () => {
      seen.closed++;
    },
    ...options,
  });
  afterThisTest(() => pool.close());
  return { pool, seen };
}

/** A server that holds each answer until the test releases it, by the path of its request. */
export async function holdingServer(options: ScriptedServerOptions = {}) {
  const held = new Map<string, ServerResponse>();
  const behaviour = (request: RecordedRequest, response: ServerResponse): void => {
    held.set(request.url, response);
  };
  const server = await ScriptedServer.start(behaviour, { keepAliveTimeoutMs: 0, ...options });
  const arrived = async (path: string): Promise<ServerResponse> => {
    await server.until(() => held.has(path));
    const response = held.get(path);
    if (!response) throw new Error(`${path} was not held`);
    return response;
  };
  const answer = async (path: string): Promise<void> => {
    (await arrived(path)).end(path);
  };
  return { server, arrived, answer };
}

/** A failure after the end of its test is ignored, because everything is cut then. */
const watched = <T>(work: Promise<T>): Promise<T> => {
  work.catch(() => undefined);
  return work;
};

export const sendOn = (lease: Lease, path: string): Promise<Incoming> =>
  watched(lease.send({ method: 'GET', path, headers: { host: 'test' } }));

/** Leases, sends, and reads the answer to its end. */
export const fetchOn = (pool: ConnectionPool, path: string): Promise<string> =>
  watched(
    pool
      .lease(never)
      .then((lease) => sendOn(lease, path))
      .then((incoming) => incoming.readAll())
      .then((body) => body.toString()),
  );

/** Waits for a state that the other end of a socket brings about; fails where it does not come. */
export async function comesTrue(condition: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; !condition(); await turn()) {
    if (Date.now() > deadline) throw new Error(`never came true: ${what}`);
  }
}

/** Whether the promise has settled by the time that everything at hand has run. */
export async function settled(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  const mark = (): void => {
    done = true;
  };
  work.then(mark, mark);
  await turn();
  await turn();
  return done;
}
