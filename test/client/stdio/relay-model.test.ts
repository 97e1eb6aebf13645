import { expect, it } from 'vitest';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { type Id, idKey } from '../../../src/core/jsonrpc/message.ts';
import type { Origin } from '../../../src/core/pipeline/call.ts';
import { fc } from '../../support/property.ts';
import { type Handed, RelayRig } from './rig.ts';

/**
 * Random conversations. In any order of events, every request is answered once, or not at all if its
 * client cancelled it before; every response of the client arrives; no message, timer or promise is left.
 */

const ids = fc.constantFrom<Id>(0, '', -1, '0', 1);
const pick = fc.nat(20);
const NEVER = new Promise<void>(() => undefined);
const ORIGINS: readonly Origin[] = [
  { profile: 'a', gone: NEVER },
  { profile: 'b', gone: NEVER },
];

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('request' as const),
      id: ids,
      method: fc.constantFrom('tools/call', 'ping', 'initialize', 'subscriptions/listen'),
      token: fc.option(ids, { nil: undefined }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('answer' as const), pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('accept' as const), pick }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('cancel' as const), id: ids }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 999, 10_000, 60_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('ask' as const), pick, origin: fc.nat(1), id: ids }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('respond' as const), pick }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('withdraw' as const), pick, origin: fc.nat(1), id: ids }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('progress' as const), pick, token: ids }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('notify' as const),
      method: fc.constantFrom('notifications/initialized', 'notifications/x'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('garbage' as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

interface Line {
  readonly id?: Id;
  readonly method?: string;
  readonly params?: { readonly requestId?: Id };
  readonly result?: { readonly n: number };
  readonly error?: { readonly code: number };
}

/** The records of client and server, kept apart from the relay. */
class Conversation {
  readonly rig = new RelayRig();
  #n = 0;
  readonly #waiting = new Map<string, { readonly n: number; readonly initialize: boolean }>();
  readonly #takenBack = new Set<number>();
  #withoutId = 0;
  /** The server's open questions, by the id that the client saw. */
  readonly #open = new Map<string, { readonly shown: Id; readonly id: Id; readonly origin: Origin }>();
  #asking: { readonly id: Id; readonly origin: Origin } | undefined;

  async take(step: Step): Promise<void> {
    const { rig } = this;
    switch (step.do) {
      case 'request': {
        const key = idKey(step.id);
        const n = this.#n++;
        if (this.#waiting.has(key)) this.#withoutId++;
        else this.#waiting.set(key, { n, initialize: step.method === 'initialize' });
        const meta = step.token === undefined ? {} : { _meta: { progressToken: step.token } };
        await rig.receive({ id: step.id, method: step.method, params: { n, ...meta } });
        break;
      }
      case 'answer':
        await this.#pending('request', step.pick, (handed) => handed.answer(`{"n":${numberOf(handed)}}`));
        break;
      case 'fail':
        await this.#pending('request', step.pick, (handed) =>
          handed.fail(new ProxyError('connection-lost', 'lost', { sent: 'maybe' })),
        );
        break;
      case 'accept':
        await this.#pending('telling', step.pick, (handed) => handed.accept());
        break;
      case 'cancel': {
        const waiting = this.#waiting.get(idKey(step.id));
        if (waiting && !waiting.initialize) {
          this.#waiting.delete(idKey(step.id));
          if (!rig.handed.some((handed) => numberOf(handed) === waiting.n)) this.#takenBack.add(waiting.n);
        }
        await rig.receive({ method: 'notifications/cancelled', params: { requestId: step.id } });
        break;
      }
      case 'advance':
        await rig.clock.advance(step.ms);
        break;
      case 'ask': {
        const origin = ORIGINS[step.origin] ?? { profile: '', gone: NEVER };
        this.#asking = { id: step.id, origin };
        await this.#any(step.pick, (handed) =>
          handed.emit({ jsonrpc: '2.0', id: step.id, method: 'ask' }, origin),
        );
        break;
      }
      case 'respond': {
        const question = [...this.#open.values()][step.pick % Math.max(1, this.#open.size)];
        if (!question) return;
        this.#open.delete(idKey(question.shown));
        await rig.receive({ id: question.shown, result: {} });
        const { call, text } = rig.last(undefined);
        expect({ id: JSON.parse(text).id, origin: call.origin }).toEqual({
          id: question.id,
          origin: question.origin,
        });
        expect(call.origin).toBe(question.origin);
        break;
      }
      case 'withdraw': {
        const origin = ORIGINS[step.origin] ?? { profile: '', gone: NEVER };
        const params = { requestId: step.id };
        await this.#any(step.pick, (handed) =>
          handed.emit({ jsonrpc: '2.0', method: 'notifications/cancelled', params }, origin),
        );
        break;
      }
      case 'progress':
        await this.#any(step.pick, (handed) =>
          handed.emit({
            jsonrpc: '2.0',
            method: 'notifications/progress',
            params: { progressToken: step.token },
          }),
        );
        break;
      case 'notify':
        await rig.receive({ method: step.method });
        break;
      case 'garbage':
        this.#withoutId++;
        await rig.receive('{');
    }
    this.#read();
  }

  #read(): void {
    for (const line of this.rig.take() as Line[]) {
      if (line.method === 'ask' && line.id !== undefined && this.#asking) {
        // Only the server of an open request may repeat its id.
        const open = this.#open.get(idKey(line.id));
        if (open) expect({ id: open.id, origin: open.origin }).toEqual(this.#asking);
        this.#open.set(idKey(line.id), { shown: line.id, ...this.#asking });
      } else if (line.method === 'notifications/cancelled') {
        if (line.params?.requestId !== undefined) this.#open.delete(idKey(line.params.requestId));
      } else if (line.method === undefined && line.id === undefined) {
        expect(this.#withoutId--).toBeGreaterThan(0);
      } else if (line.method === undefined && line.id !== undefined) {
        const waiting = this.#waiting.get(idKey(line.id));
        expect(waiting, `an answer to ${JSON.stringify(line)}, which nobody waits for`).toBeDefined();
        if (line.result) expect(line.result.n).toBe(waiting?.n);
        this.#waiting.delete(idKey(line.id));
      }
    }
    for (const handed of this.rig.handed) expect(this.#takenBack.has(numberOf(handed) ?? -1)).toBe(false);
  }

  /** Runs with one of the messages at the handler that still need a reply. */
  async #pending(
    kind: 'request' | 'telling',
    at: number,
    act: (handed: Handed) => Promise<void>,
  ): Promise<void> {
    const pending = this.rig.handed.filter(
      ({ done, call }) => !done && (call.message.kind === 'request') === (kind === 'request'),
    );
    const handed = pending[at % Math.max(1, pending.length)];
    if (handed) await act(handed);
  }

  /** Runs with any request that ever reached the handler and was not cancelled: streams outlive their answers. */
  async #any(at: number, act: (handed: Handed) => Promise<void>): Promise<void> {
    const all = this.rig.handed.filter(({ call }) => call.message.kind === 'request' && !call.signal.aborted);
    const handed = all[at % Math.max(1, all.length)];
    if (handed) await act(handed);
  }

  async end(): Promise<void> {
    const { rig } = this;
    for (;;) {
      const next = rig.handed.find(({ done }) => !done);
      if (!next) break;
      if (next.call.message.kind === 'request') await next.answer(`{"n":${numberOf(next)}}`);
      else await next.accept();
    }
    this.#read();
    expect([...this.#waiting.keys()]).toEqual([]);
    expect(this.#withoutId).toBe(0);
    expect(rig.clock.timers).toBe(0);
    expect(await rig.idle()).toBe(true);
    expect(rig.eventsOf('internal.fault')).toEqual([]);
  }
}

function numberOf({ call }: Handed): number | undefined {
  const { params } = call.message.json;
  return typeof params === 'object' && params !== null && 'n' in params ? Number(params.n) : undefined;
}

it('the relay answers or cancels every request once, and leaves nothing behind', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const conversation = new Conversation();
      for (const one of steps) await conversation.take(one);
      await conversation.end();
    }),
    { numRuns: 400 },
  );
});
