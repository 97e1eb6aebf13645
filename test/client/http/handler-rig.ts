import { HttpHandler } from '../../../src/client/http/handler.ts';
import type { Message } from '../../../src/core/jsonrpc/message.ts';
import type { BodySink, Call, Handler, HttpFacts, Reply } from '../../../src/core/pipeline/call.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import type { BareRequest, HttpCaller, HttpExchange } from '../../../src/core/pipeline/http-context.ts';
import { FakeClock } from '../../support/fake-clock.ts';

/** One HTTP request of a client, and all that it gets to see of the answer. */
export class ClientExchange implements HttpExchange {
  readonly headers: Readonly<Record<string, string>>;
  head: HttpFacts | undefined;
  text = '';
  how: 'open' | 'ended' | 'broken' = 'open';
  begun = 0;
  readonly caller: HttpCaller | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(headers: Readonly<Record<string, string>> = {}, caller?: HttpCaller) {
    this.headers = headers;
    this.caller = caller;
  }

  get status(): number | undefined {
    return this.head?.status;
  }

  get json(): Record<string, unknown> {
    return JSON.parse(this.text);
  }

  onGone(listener: () => void): void {
    this.#listeners.push(listener);
  }

  leave(): void {
    for (const tell of this.#listeners) tell();
  }

  begin(head: HttpFacts): BodySink {
    this.begun++;
    this.head = head;
    return {
      write: async (chunk) => {
        this.text += Buffer.from(chunk).toString();
      },
    };
  }

  end(): void {
    if (this.how === 'open') this.how = 'ended';
  }

  breakOff(): void {
    this.how = 'broken';
    this.leave();
  }
}

export interface Arrived {
  readonly call: Call;
  settle(reply: Reply): void;
  fail(error: unknown): void;
}

/** A relay over a handler that holds every call until the test says how it ends. */
export function httpRig({
  maxStreams = 2,
  timeoutMs = 1_000,
  toolTimeoutMs = 5_000,
  readsLists = true,
  keepaliveMs = 0,
  heartbeatMs = 0,
} = {}) {
  const clock = new FakeClock();
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event));
  const arrived: Arrived[] = [];
  const bare: (BareRequest & { settle(reply: Reply): void; fail(error: unknown): void })[] = [];
  const overheard: string[] = [];
  const handler: Handler = (call) =>
    new Promise((resolve, reject) => {
      arrived.push({ call, settle: resolve, fail: reject });
      call.signal.addEventListener('abort', () => reject(call.signal.reason), { once: true });
    });
  const relay = new HttpHandler({
    handler,
    forward: (request) =>
      new Promise((resolve, reject) => {
        bare.push({ ...request, settle: resolve, fail: reject });
        request.signal.addEventListener('abort', () => reject(request.signal.reason), { once: true });
      }),
    profile: 'dev',
    clock,
    events,
    limits: { timeoutMs, toolTimeoutMs, initializeTimeoutMs: 0 },
    maxStreams,
    soleCaller: () => true,
    keepaliveMs,
    heartbeatMs,
    readsLists,
    toUpstreamHeaders: (headers) => ({ ...headers, 'user-agent': 'rig' }),
    findTool: () => undefined,
    onNotification: ({ method }) => overheard.push(method),
  });
  /** Posts, and waits until the call has arrived or been answered. */
  const post = async (message: object | string, headers: Record<string, string> = {}) => {
    const exchange = new ClientExchange(headers);
    const text = typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...message });
    const done = relay.post(text, exchange);
    await clock.advance(0);
    return { exchange, done };
  };
  const last = (): Arrived => {
    const found = arrived.at(-1);
    if (!found) throw new Error('nothing arrived');
    return found;
  };
  return { relay, clock, events, seen, arrived, bare, overheard, post, last };
}

export const PASSED: Reply = { kind: 'passed', http: { status: 200, headers: {} } };
export const methodOf = (message: Message): string =>
  message.kind === 'response' ? 'response' : message.method;
