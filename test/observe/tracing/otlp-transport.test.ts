import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import {
  type CollectorAnswer,
  type CollectorRequest,
  OtlpTransport,
} from '../../../src/observe/tracing/otlp-transport.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const TIMEOUT_MS = 10_000;
const DATA = new Uint8Array([1, 2, 3]);

type Outcome = Partial<CollectorAnswer> | Error;

const failure = (code: string): Error => Object.assign(new Error(`connect ${code}`), { code });

/** A transport to a collector with these outcomes, the last one for ever. */
function transportTo(outcomes: readonly Outcome[], { compresses = false } = {}) {
  const clock = new FakeClock();
  const posts: CollectorRequest[] = [];
  const times: number[] = [];
  const collector = {
    async post(request: CollectorRequest): Promise<CollectorAnswer> {
      const outcome = outcomes[Math.min(posts.length, outcomes.length - 1)] ?? {};
      posts.push(request);
      times.push(clock.monotonic());
      if (outcome instanceof Error) throw outcome;
      return { status: 200, retryAfter: '', body: new Uint8Array(), ...outcome };
    },
    close: () => undefined,
  };
  const headers = async () => ({ 'Content-Type': 'application/x-protobuf' });
  const transport = new OtlpTransport({ collector, path: '/v1/traces', headers, compresses, clock });
  return { transport, clock, posts, times };
}

it('an export is one POST with the headers of the settings, and its answer is returned', async () => {
  const { transport, posts } = transportTo([{ body: new Uint8Array([7]) }]);
  expect(await transport.send(DATA, TIMEOUT_MS)).toEqual({ status: 'success', data: new Uint8Array([7]) });
  expect(posts).toEqual([
    {
      path: '/v1/traces',
      headers: { 'Content-Type': 'application/x-protobuf' },
      body: DATA,
      timeoutMs: TIMEOUT_MS,
    },
  ]);
});

it('an export is compressed once, also where it is sent twice', async () => {
  const { transport, posts, clock } = transportTo([{ status: 503 }, {}], { compresses: true });
  const sent = transport.send(DATA, TIMEOUT_MS);
  await expect.poll(() => posts.length).toBe(1);
  await clock.advance(1_000);
  expect(await sent).toMatchObject({ status: 'success' });
  expect(posts.map(({ headers }) => headers['Content-Encoding'])).toEqual(['gzip', 'gzip']);
  expect(posts[1]?.body).toBe(posts[0]?.body);
  expect(gunzipSync(posts[0]?.body ?? DATA)).toEqual(Buffer.from(DATA));
});

it.each([
  [429, 'Too Many Requests'],
  [502, 'Bad Gateway'],
  [503, 'Service Unavailable'],
  [504, 'Gateway Timeout'],
])('an export that a collector answers with %i is retried until its time is over', async (code, message) => {
  const { transport, clock, times } = transportTo([{ status: code }]);
  const sent = transport.send(DATA, TIMEOUT_MS);
  await clock.advance(TIMEOUT_MS);
  // 1 s, and half as long again each time: the next wait would end too late.
  expect(times).toEqual([0, 1_000, 2_500, 4_750, 8_125]);
  expect(await sent).toMatchObject({ status: 'retryable', error: { code, message } });
});

it('an export is retried five times at most', async () => {
  const { transport, clock, times } = transportTo([failure('ECONNREFUSED')]);
  const sent = transport.send(DATA, 60_000);
  await clock.advance(60_000);
  expect(times).toHaveLength(6);
  expect(await sent).toMatchObject({ status: 'retryable', error: { message: 'connect ECONNREFUSED' } });
});

it('the retry of an export waits as long as the collector requests, and not beyond the time of the export', async () => {
  const { transport, clock, times } = transportTo([
    { status: 429, retryAfter: '3' },
    { status: 429, retryAfter: '8' },
  ]);
  const sent = transport.send(DATA, TIMEOUT_MS);
  await clock.advance(TIMEOUT_MS);
  expect(times).toEqual([0, 3_000]);
  expect(await sent).toMatchObject({ status: 'retryable', error: { code: 429 } });
});

it.each<[outcome: Outcome, error: object]>([
  [
    { status: 400, body: Buffer.from('bad span') },
    { code: 400, message: 'Bad Request', data: 'bad span' },
  ],
  [{ status: 500 }, { code: 500, message: 'Internal Server Error' }],
  [{ status: 301 }, { code: 301 }],
  [failure('CERT_HAS_EXPIRED'), { message: 'connect CERT_HAS_EXPIRED' }],
])('an export that cannot succeed is not retried: %o', async (outcome, error) => {
  const { transport, posts } = transportTo([outcome]);
  expect(await transport.send(DATA, TIMEOUT_MS)).toMatchObject({ status: 'failure', error });
  expect(posts).toHaveLength(1);
});

it('each attempt of an export has the time that is left of it', async () => {
  const { transport, clock, posts } = transportTo([failure('UND_ERR_SOCKET'), {}]);
  const sent = transport.send(DATA, TIMEOUT_MS);
  await clock.advance(1_000);
  expect(await sent).toMatchObject({ status: 'success' });
  expect(posts.map(({ timeoutMs }) => timeoutMs)).toEqual([TIMEOUT_MS, TIMEOUT_MS - 1_000]);
});
