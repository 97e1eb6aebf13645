import { expect, it } from 'vitest';
import { ProxyError, type Sent } from '../../../src/core/errors/errors.ts';
import { answerOf, makeCall, RESULT, requestOf } from '../../support/make-call.ts';
import { fc } from '../../support/property.ts';
import { type Attempted, retried } from '../../support/retried.ts';

/** How one attempt ends, and whether the server runs the tool for it. */
interface Fate {
  readonly what: string;
  readonly runs: boolean;
  readonly act: Attempted;
}

const failing =
  (
    reason: 'connect-failed' | 'connection-lost' | 'http-status',
    sent: Sent,
    httpStatus?: number,
  ): Attempted =>
  () => {
    throw new ProxyError(reason, 'words', { sent, details: { httpStatus } });
  };
const answering =
  (status: number, code: number, message: string): Attempted =>
  () =>
    answerOf({ error: { code, message } }, { status });

const FATES: readonly Fate[] = [
  { what: 'refused connection', runs: false, act: failing('connect-failed', 'no') },
  { what: 'reset before the server read it', runs: false, act: failing('connection-lost', 'maybe') },
  { what: 'reset after it ran', runs: true, act: failing('connection-lost', 'maybe') },
  { what: '429', runs: false, act: failing('http-status', 'refused', 429) },
  { what: '408, because it did not arrive', runs: false, act: failing('http-status', 'maybe', 408) },
  { what: '408, because the server was slow', runs: true, act: failing('http-status', 'maybe', 408) },
  { what: '429 as JSON-RPC', runs: false, act: answering(429, -32004, 'Too many requests') },
  { what: 'throttled in a 200', runs: false, act: answering(200, -32004, 'Too many requests') },
  { what: '502 before', runs: false, act: failing('http-status', 'maybe', 502) },
  { what: '502 after', runs: true, act: failing('http-status', 'maybe', 502) },
  { what: '503 as JSON-RPC, after', runs: true, act: answering(503, -32603, 'Internal error') },
  { what: '504 after', runs: true, act: failing('http-status', 'maybe', 504) },
  { what: '500 after', runs: true, act: failing('http-status', 'maybe', 500) },
  { what: 'result', runs: true, act: () => RESULT },
];

const fates = fc.array(fc.constantFrom(...FATES), { minLength: 11, maxLength: 11 });

/** Sends one call through `retries` repeats of random fates, and counts how often the server ran it. */
async function play(acts: readonly Fate[], retries: number, annotations: object) {
  const limits = { retries, baseDelayMs: 100, maxDelayMs: 2_000, adaptive: false };
  const { clock, tools, log, send } = retried(
    acts.map(({ act }) => act),
    { options: limits },
  );
  tools.learn({ result: { tools: [{ name: 'tool', annotations }] } });
  const answer = send(makeCall(requestOf('tools/call', { name: 'tool' })));
  await clock.advance(60_000);
  const end = await answer;
  const attempts = log.length;
  return {
    end,
    attempts,
    timers: clock.timers,
    runs: acts.slice(0, attempts).filter(({ runs }) => runs).length,
  };
}

it('a tool without hints runs at most once, however its attempts end', async () => {
  await fc.assert(
    fc.asyncProperty(fates, fc.integer({ min: 0, max: 10 }), async (acts, retries) => {
      const { end, attempts, runs, timers } = await play(acts, retries, { destructiveHint: false });
      expect(runs).toBeLessThanOrEqual(1);
      expect(attempts).toBeLessThanOrEqual(retries + 1);
      expect(timers).toBe(0);
      // An error that says "did not run" must be true.
      if (end instanceof ProxyError && runs > 0) expect(end.sent).toBe('maybe');
    }),
    { numRuns: 200 },
  );
});

it('a read-only tool is retried until it answers, and its last error states that it may have run', async () => {
  await fc.assert(
    fc.asyncProperty(fates, async (acts) => {
      const { end, attempts, runs } = await play(acts, 10, { readOnlyHint: true });
      const final = acts.findIndex(({ what }) => what === 'result' || what === '500 after');
      expect(attempts).toBe(final < 0 ? 11 : final + 1);
      if (end instanceof ProxyError && runs > 0) expect(end.sent).toBe('maybe');
    }),
    { numRuns: 100 },
  );
});
