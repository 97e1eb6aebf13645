import { describe, expect, it } from 'vitest';
import { Events, type ProxyEvent } from '../../src/core/pipeline/events.ts';
import { rateLimit } from '../../src/layers/rate-limit.ts';
import { SharedLimits } from '../../src/limits/shared-limits.ts';
import { McpProxy } from '../../src/proxy.ts';
import { parseArguments, readSettings } from '../../src/settings.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { makeToolCall, RESULT } from '../support/make-call.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { settingsIn } from '../support/settings.ts';

function setUp({ ratePerSecond = 10, burst = 1 } = {}) {
  const clock = new FakeClock();
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event), { detailed: true, secrets: false });
  const store = new MemoryStore(clock);
  const limits = new SharedLimits({
    where: '127.0.0.1:6379',
    open: async () => store,
    endpoint: new URL('http://127.0.0.1/mcp'),
    minReplicas: 2,
    clock,
    events,
  });
  const bucket = limits.rate('profile:', { ratePerSecond, burst });
  const handler = rateLimit({ of: () => bucket }, events)(async () => RESULT);
  const send = (id = 0) => handler(makeToolCall(id).call).catch((error: unknown) => error);
  const count = (type: ProxyEvent['type']): number => seen.filter((event) => event.type === type).length;
  return { clock, store, limits, send, count, seen };
}

describe('limits that replicas share', () => {
  it('a turn that the store grants at once is not reported as a wait, a reserved turn is', async () => {
    const { clock, send, seen } = setUp();
    expect(await send(0)).toBe(RESULT);
    expect(seen).toEqual([]);
    const second = send(-1);
    await clock.advance(100);
    expect(await second).toBe(RESULT);
    expect(seen).toMatchObject([{ type: 'rate.limited', outcome: 'waited', ms: 100 }]);
  });

  it('the store stays unused while its probe fails, although other operations work', async () => {
    const { clock, store, limits, send, count } = setUp();
    expect(limits.mode).toBeUndefined();
    await send();
    expect(limits.mode).toBe('shared');
    store.failing.set('rate', 'OOM command not allowed.').set('probe', 'OOM command not allowed.');
    await clock.advance(1_000);
    const refused = send();
    await clock.advance(4_000);
    expect(await refused).toBe(RESULT);
    expect(limits.mode).toBe('local');
    await clock.advance(20_000);
    expect(store.counts.probe).toBeGreaterThan(5);
    expect([count('limits.local'), count('limits.shared')]).toEqual([1, 0]);
    store.failing.clear();
    await clock.advance(10_000);
    expect(limits.mode).toBe('shared');
    expect([count('limits.local'), count('limits.shared')]).toEqual([1, 1]);
  });

  it('a turn whose answer was delayed is returned to the store and taken again', async () => {
    const { clock, store, send } = setUp({ burst: 3 });
    expect(await send()).toBe(RESULT);
    await clock.advance(5_000);
    store.delayMs = 400;
    const commands: string[] = [];
    store.onRate = ({ name }) => {
      commands.push(name);
      store.delayMs = 0;
    };
    const sent = send();
    await clock.advance(390);
    expect(commands).toEqual(['take']);
    await clock.advance(20);
    expect(await sent).toBe(RESULT);
    expect(commands).toEqual(['take', 'refund', 'take']);
  });

  it('an identity of --identity-map that leaves keeps the shared limits of the process', async () => {
    const { store, limits, send, clock } = setUp({ burst: 9 });
    const settings = settingsIn(
      await readSettings(
        parseArguments(['http://127.0.0.1/mcp', '--auth', 'none']),
        {},
        { configFile: false },
      ),
    );
    const proxy = new McpProxy(settings, { clock, sharedLimits: limits });
    proxy.forIdentity(settings, 'user:alice', undefined).stop();
    await proxy.forIdentity(settings, 'user:bob', undefined).close();
    const sent = send();
    await clock.advance(1_000);
    expect(await sent).toBe(RESULT);
    expect([limits.mode, store.counts.rate]).toEqual(['shared', 1]);
    await proxy.close();
  });

  it('a store that fails repeatedly right after its recovery is probed at most every 30 seconds', async () => {
    const { clock, store, send, count } = setUp();
    await send();
    store.failing.set('rate', 'a script that fails');
    const sent: Promise<unknown>[] = [];
    for (let second = 0; second < 600; second++) {
      sent.push(send(second));
      await clock.advance(1_000);
    }
    await clock.advance(40_000);
    expect(new Set(await Promise.all(sent))).toEqual(new Set([RESULT]));
    expect(count('limits.local')).toBeLessThan(40);
    expect(count('limits.local')).toBeGreaterThan(10);
  });

  it.each([
    [
      'the error of the store',
      'OOM command not allowed.',
      /: OOM command not allowed\. This process takes 1\/2/,
    ],
    ['an error without a dot', 'NOPERM', /: NOPERM\. This process/],
  ])('limits.local names %s once', async (_what, message, text) => {
    const { clock, store, send, seen } = setUp();
    store.failing.set('connected', message);
    const sent = send();
    await clock.advance(4_000);
    expect(await sent).toBe(RESULT);
    expect(seen.find(({ type }) => type === 'limits.local')).toMatchObject({
      message: expect.stringMatching(text),
    });
  });
});
