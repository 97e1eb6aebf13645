import { expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Handler } from '../../../src/core/pipeline/call.ts';
import { Events } from '../../../src/core/pipeline/events.ts';
import { retry } from '../../../src/layers/retry/retry.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { answerOf, makeCall, requestOf } from '../../support/make-call.ts';

const LOST = new ProxyError('connection-lost', 'it broke', { sent: 'maybe' });
const layer = retry({
  options: { retries: 2, baseDelayMs: 0, maxDelayMs: 0, adaptive: false },
  clock: new FakeClock(),
  events: new Events(),
  toolsOf: () => ({ annotationsOf: () => undefined, listedAt: () => undefined }),
});

it('a pass-through answer that has begun is not requested again', async () => {
  const heads: number[] = [];
  let attempts = 0;
  const handler: Handler = async ({ httpContext }) => {
    attempts++;
    httpContext?.pass?.({ status: 200, headers: {} });
    throw LOST;
  };
  const { call } = makeCall(requestOf('resources/read', { uri: 'x:y' }, 0));
  const pass = ({ status }: { status: number }) => {
    heads.push(status);
    return { write: async () => undefined };
  };
  await expect(layer(handler)({ ...call, httpContext: { headers: {}, pass } })).rejects.toBe(LOST);
  expect([attempts, heads]).toEqual([1, [200]]);
});

it('a pass-through request is retried before its first byte, and the client sees one head only', async () => {
  const clock = new FakeClock();
  const heads: number[] = [];
  let attempts = 0;
  const handler: Handler = async ({ httpContext }) => {
    if (++attempts === 1) return answerOf({ error: { code: -1, message: 'busy' } }, { status: 503 });
    httpContext?.pass?.({ status: 200, headers: {} });
    return { kind: 'passed', http: { status: 200, headers: {} } };
  };
  const repeating = retry({
    options: { retries: 2, baseDelayMs: 10, maxDelayMs: 10, adaptive: false },
    clock,
    events: new Events(),
    toolsOf: () => ({ annotationsOf: () => undefined, listedAt: () => undefined }),
  });
  const { call } = makeCall(requestOf('tools/list', {}, ''));
  const pass = ({ status }: { status: number }) => {
    heads.push(status);
    return { write: async () => undefined };
  };
  const reply = repeating(handler)({ ...call, httpContext: { headers: {}, pass } });
  await clock.advance(20);
  expect((await reply).kind).toBe('passed');
  expect([attempts, heads]).toEqual([2, [200]]);
});
