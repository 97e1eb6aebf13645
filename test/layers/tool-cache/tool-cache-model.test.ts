import { expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import type { Running } from '../../support/held-handler.ts';
import { type MadeCall, makeCall, requestOf, settle } from '../../support/make-call.ts';
import { fc } from '../../support/property.ts';
import { cached, listOf } from '../tool-cache-rig.ts';

type Step =
  | { readonly does: 'ask' | 'change' }
  | { readonly does: 'answer' | 'fail' | 'leave'; readonly which: number }
  | { readonly does: 'wait'; readonly ms: number };

const TTL_MS = 5_000;
/** The time for which a stale list replaces one that failed slowly. */
const STAND_IN_MS = 10_000;
const SLOW_MS = 1_000;
const DOWN = new ProxyError('connection-lost', 'down', { sent: 'maybe' });

const picking = (does: 'answer' | 'fail' | 'leave') => fc.nat(9).map((which): Step => ({ does, which }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Step>({ does: 'ask' }) },
  { weight: 4, arbitrary: picking('answer') },
  { weight: 2, arbitrary: picking('fail') },
  { weight: 1, arbitrary: picking('leave') },
  { weight: 2, arbitrary: fc.constant<Step>({ does: 'change' }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(1, 999, 1_000, 4_999, 5_000, 10_000).map((ms): Step => ({ does: 'wait', ms })),
  },
);

interface Asked {
  readonly made: MadeCall;
  /** The version of the server's list at the time of the request. */
  readonly version: number;
  /** The request to the server that it waits for; undefined if it was answered at once. */
  fetch: Fetch | undefined;
  answer: unknown;
}

/** One request to the server, whose answer is the list at the time of the request. */
interface Fetch {
  readonly running: Running;
  readonly version: number;
  readonly since: number;
  readonly waiting: Set<Asked>;
}

it('the tool cache never shows an outdated list unless a fetch failed, and never fetches twice for one need', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const { clock, server, handler, toolsOf, asked } = cached(TTL_MS);
      let version = 0;
      let good: { readonly version: number; readonly at: number } | undefined;
      let failed: { readonly version: number; readonly at: number } | undefined;
      const fetches: Fetch[] = [];
      const all: Asked[] = [];
      const running = (): Fetch | undefined => fetches.find((fetch) => fetch.version === version);

      const ask = async (): Promise<void> => {
        const now = clock.monotonic();
        const fresh = good?.version === version && now - good.at < TTL_MS;
        const remembered = good && failed?.version === version && now - failed.at < STAND_IN_MS;
        const joined = fresh || remembered ? undefined : running();
        const expected = fresh || remembered || joined ? 0 : 1;
        const before = asked();
        const entry: Asked = {
          made: makeCall(requestOf('tools/list', undefined, all.length)),
          version,
          fetch: joined,
          answer: undefined,
        };
        all.push(entry);
        handler(entry.made.call).then(
          (reply) => {
            entry.answer = reply.kind === 'answer' ? reply.message.json : reply;
          },
          (error: unknown) => {
            entry.answer = error;
          },
        );
        await settle();
        expect(asked() - before).toBe(expected);
        const [begun] = server.running.slice(-1);
        if (expected === 1 && begun) {
          entry.fetch = { running: begun, version, since: now, waiting: new Set() };
          fetches.push(entry.fetch);
        }
        entry.fetch?.waiting.add(entry);
        if (entry.fetch) return;
        expectList(entry, good?.version);
      };

      const expectList = (entry: Asked, shown: number | undefined): void => {
        expect(entry.answer).toEqual({
          jsonrpc: '2.0',
          id: all.indexOf(entry),
          result: { tools: [{ name: `v${shown}` }] },
        });
      };

      const end = async (fetch: Fetch, how: 'answer' | 'fail'): Promise<void> => {
        fetches.splice(fetches.indexOf(fetch), 1);
        const now = clock.monotonic();
        if (how === 'answer') {
          if (fetch.version >= (good?.version ?? 0)) good = { version: fetch.version, at: now };
          failed = undefined;
          fetch.running.finish(listOf([`v${fetch.version}`], {}, fetch.running.call));
        } else {
          failed = now - fetch.since >= SLOW_MS ? { version: fetch.version, at: now } : undefined;
          fetch.running.fail(DOWN);
        }
        await settle();
        for (const entry of fetch.waiting) {
          if (how === 'answer') expectList(entry, fetch.version);
          // Where asking failed, the last list there was; the error, where there was none.
          else if (good) expectList(entry, good.version);
          else expect(entry.answer).toBe(DOWN);
          if (how === 'answer') expect(fetch.version).toBe(entry.version);
        }
      };

      const leave = async (entry: Asked): Promise<void> => {
        const { fetch } = entry;
        if (!fetch?.waiting.delete(entry) || !fetches.includes(fetch)) return;
        entry.made.cancel();
        if (fetch.waiting.size === 0) fetches.splice(fetches.indexOf(fetch), 1);
        await settle();
        expect(server.running.includes(fetch.running)).toBe(fetch.waiting.size > 0);
      };

      for (const next of steps) {
        switch (next.does) {
          case 'ask':
            await ask();
            break;
          case 'change':
            version++;
            toolsOf('').invalidate({ clientKnows: true });
            break;
          case 'wait':
            await clock.advance(next.ms);
            break;
          case 'leave': {
            const entry = all[next.which % Math.max(1, all.length)];
            if (entry) await leave(entry);
            break;
          }
          default: {
            const fetch = fetches[next.which % Math.max(1, fetches.length)];
            if (fetch) await end(fetch, next.does);
          }
        }
        // One request to the server for each state of its list.
        expect(new Set(fetches.map((fetch) => fetch.version)).size).toBe(fetches.length);
        expect(server.running).toHaveLength(fetches.length);
      }
      for (const fetch of [...fetches]) await end(fetch, 'answer');
      expect(all.every(({ answer }) => answer !== undefined)).toBe(true);
      expect(clock.timers).toBe(0);
    }),
    { numRuns: 150 },
  );
});
