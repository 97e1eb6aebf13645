import { expect, it } from 'vitest';
import { checkHealth, type ProbeResult } from '../../src/pool/health.ts';
import { FakeClock } from '../support/fake-clock.ts';

type Does = ProbeResult | 'hangs' | 'fails';

async function check(methods: string[], does: Record<string, Does>) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const verdict = checkHealth(
    { methods, timeoutMs: 5_000, clock },
    (method, signal) => {
      asked.push(method);
      const how = does[method];
      if (how === 'fails') return Promise.reject(new Error('sick'));
      if (how !== 'hangs') return Promise.resolve(how ?? 'answered');
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
    new AbortController().signal,
  );
  await clock.advance(60_000);
  expect(clock.timers).toBe(0);
  return { well: (await verdict).healthy, asked };
}

it.each<[string, string[], Record<string, Does>, boolean, string[]]>([
  ['an answer is enough', ['ping', 'tools/list'], {}, true, ['ping']],
  [
    'an unknown method leads to the next',
    ['ping', 'tools/list'],
    { ping: 'unknown-method' },
    true,
    ['ping', 'tools/list'],
  ],
  ['knowing none of them is a failure', ['ping'], { ping: 'unknown-method' }, false, ['ping']],
  ['skip asks nothing', ['skip', 'ping'], {}, true, []],
  ['skip is enough after an unknown method', ['ping', 'skip'], { ping: 'unknown-method' }, true, ['ping']],
  ['any other failure ends it', ['ping', 'tools/list', 'skip'], { ping: 'fails' }, false, ['ping']],
  ['skip is not enough after a hang', ['ping', 'skip'], { ping: 'hangs' }, false, ['ping']],
  [
    'an answer is enough after a hang',
    ['ping', 'tools/list'],
    { ping: 'hangs' },
    true,
    ['ping', 'tools/list'],
  ],
  [
    'hanging and not knowing is a failure, whatever follows',
    ['ping', 'tools/list', 'skip'],
    { ping: 'hangs', 'tools/list': 'unknown-method' },
    false,
    ['ping', 'tools/list'],
  ],
])('the health check: %s', async (_what, methods, does, well, asked) => {
  expect(await check(methods, does)).toEqual({ well, asked });
});

it('a health check ends with the signal of its pool, and leaves no timer', async () => {
  const clock = new FakeClock();
  const ending = new AbortController();
  const verdict = checkHealth(
    { methods: ['ping', 'tools/list'], timeoutMs: 5_000, clock },
    (_method, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    ending.signal,
  );
  ending.abort(new Error('ending'));
  expect(await verdict).toMatchObject({ healthy: false });
  expect(clock.timers).toBe(0);
});
