import * as https from 'node:https';
import { expect, it } from 'vitest';
import { connectCollector } from '../../../src/upstream/http/collector.ts';
import { afterThisTest } from '../../support/cleanup.ts';
import { listenOnLoopback } from '../../support/connections.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { type Behaviour, ScriptedServer } from '../../support/scripted-server.ts';
import { makeTlsAuthority } from '../../support/tls-authority.ts';

const post = (changes: object = {}) => ({
  path: '/v1/traces?a=1',
  headers: { 'Content-Type': 'application/x-protobuf', 'x-token': 't' },
  body: new Uint8Array([1, 2, 3]),
  timeoutMs: 1_000,
  ...changes,
});

async function connected(behaviour: Behaviour) {
  const clock = new FakeClock();
  const server = await ScriptedServer.start(behaviour);
  const collector = connectCollector({ origin: server.origin, tls: {} }, clock);
  afterThisTest(() => collector.close());
  return { clock, server, collector };
}

it('exports to a collector share one connection, and their answers are returned', async () => {
  const { server, collector, clock } = await connected((_request, response) => {
    response.writeHead(429, { 'retry-after': '7' }).end('busy');
  });
  const answers = [await collector.post(post()), await collector.post(post({ body: new Uint8Array() }))];
  const answer = { status: 429, retryAfter: '7', body: Buffer.from('busy') };
  expect(answers).toEqual([answer, answer]);
  const [first, second] = server.requests;
  expect([first?.method, first?.url, first?.headers['x-token'], first?.body]).toEqual([
    'POST',
    '/v1/traces?a=1',
    't',
    Buffer.from([1, 2, 3]),
  ]);
  expect(second?.connection).toBe(first?.connection);
  expect(clock.timers).toBe(0);
});

it('an export without an answer in time fails, and the next one has a new connection', async () => {
  const held: { end(): unknown }[] = [];
  const { server, collector, clock } = await connected((_request, response) => {
    if (server.requests.length > 1) response.end();
    else held.push(response);
  });
  const late = collector.post(post());
  const failed = expect(late).rejects.toThrow('no answer in 1 s');
  await server.until(() => held.length === 1);
  await clock.advance(1_000);
  await failed;
  expect(await collector.post(post())).toMatchObject({ status: 200 });
  expect(server.requests.map(({ connection }) => connection)).toEqual([1, 2]);
});

it('an export to an unreachable collector fails with the cause', async () => {
  const collector = connectCollector({ origin: 'http://127.0.0.1:9', tls: {} }, new FakeClock());
  await expect(collector.post(post())).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

it('a collector is trusted by its own authority, and receives the certificate of the client', async () => {
  const { ca, key, cert } = await makeTlsAuthority();
  const server = https.createServer(
    { key, cert, ca, requestCert: true, rejectUnauthorized: true },
    (_, response) => response.end('ok'),
  );
  afterThisTest(() => void server.close());
  const origin = `https://127.0.0.1:${await listenOnLoopback(server)}`;
  const trusting = connectCollector({ origin, tls: { ca, key, cert } }, new FakeClock());
  afterThisTest(() => trusting.close());
  expect(await trusting.post(post())).toMatchObject({ status: 200, body: Buffer.from('ok') });
  const other = connectCollector({ origin, tls: {} }, new FakeClock());
  await expect(other.post(post())).rejects.toMatchObject({ code: 'SELF_SIGNED_CERT_IN_CHAIN' });
});
