import { setImmediate as turn } from 'node:timers/promises';
import { Relay } from '../../../src/client/stdio/relay.ts';
import type { RelayLimits } from '../../../src/client/stdio/relay-deps.ts';
import { idText, type Message, withIdText } from '../../../src/core/jsonrpc/message.ts';
import { readMessages } from '../../../src/core/jsonrpc/parse.ts';
import type { Call, Origin, Reply } from '../../../src/core/pipeline/call.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import { FakeClock } from '../../support/fake-clock.ts';

/** One message as the relay handed it to its handler, and the means to bring its reply. */
export class Handed {
  readonly call: Call;
  readonly promise: Promise<Reply>;
  #resolve: (reply: Reply) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;
  #replied = false;

  constructor(call: Call) {
    this.call = call;
    this.promise = new Promise<Reply>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Ends when no caller waits any more, as every handler does.
    call.signal.addEventListener('abort', () => this.#reject(call.signal.reason), { once: true });
  }

  /** True once it has its reply, or no caller waits for one. */
  get done(): boolean {
    return this.#replied || this.call.signal.aborted;
  }

  get text(): string {
    return this.call.message.text;
  }

  get method(): string | undefined {
    return this.call.message.kind === 'response' ? undefined : this.call.message.method;
  }

  /** Answers the request with a result, under its own id. */
  async answer(result = '{}'): Promise<void> {
    const { message } = this.call;
    if (message.kind !== 'request') throw new Error(`${message.kind} needs no answer`);
    await this.reply(`{"jsonrpc":"2.0","id":${idText(message)},"result":${result}}`);
  }

  async reply(text: string): Promise<void> {
    const message = messageOf(text);
    if (message.kind !== 'response') throw new Error(message.kind);
    this.#replied = true;
    this.#resolve({ kind: 'answer', message });
    await turn();
  }

  async accept(): Promise<void> {
    this.#replied = true;
    this.#resolve({ kind: 'accepted' });
    await turn();
  }

  async fail(error: unknown): Promise<void> {
    this.#replied = true;
    this.#reject(error);
    await turn();
  }

  /** Sends something down in the middle of this call. */
  async emit(json: object | string, origin: Origin = ORIGIN): Promise<void> {
    await this.call.emit(messageOf(typeof json === 'string' ? json : JSON.stringify(json)), origin);
  }
}

export const ORIGIN: Origin = { profile: 'first', gone: new Promise(() => undefined) };

function messageOf(text: string): Message {
  const [message] = readMessages(text);
  if (!message) throw new Error(`no message: ${text}`);
  return message;
}

export interface RigOptions extends Partial<RelayLimits> {
  /** Called in place of waiting, where a test wants a handler of its own. */
  readonly handler?: (call: Call) => Promise<Reply>;
  readonly detailed?: boolean;
}

/** A relay between a client whose lines the test reads and a handler whose replies the test gives. */
export class RelayRig {
  readonly clock = new FakeClock();
  readonly sent: string[] = [];
  readonly handed: Handed[] = [];
  readonly events: ProxyEvent[] = [];
  readonly relay: Relay;
  /** Resolves what `send` gives back; replaced to play a client that does not read. */
  room: Promise<void> = Promise.resolve();

  constructor({ handler, detailed = false, ...limits }: RigOptions = {}) {
    const events = new Events();
    events.subscribe((event) => this.events.push(event), { detailed });
    this.relay = new Relay({
      handler:
        handler ??
        ((call) => {
          const handed = new Handed(call);
          this.handed.push(handed);
          return handed.promise;
        }),
      client: { id: 'client-1' },
      profile: 'default',
      clock: this.clock,
      events,
      limits: {
        timeoutMs: 10_000,
        toolTimeoutMs: 60_000,
        initializeTimeoutMs: 0,
        maxLineBytes: 0,
        ...limits,
      },
      send: (text) => {
        this.sent.push(text);
        return this.room;
      },
    });
  }

  /** Writes one line of the client and lets everything come to rest. */
  async receive(line: object | string): Promise<void> {
    this.relay.receive(typeof line === 'string' ? line : JSON.stringify({ jsonrpc: '2.0', ...line }));
    await turn();
  }

  /** Sends a request; resolves with it as the handler got it. */
  async request(id: string | number, method = 'tools/call', params?: object): Promise<Handed> {
    await this.receive({ id, method, ...(params ? { params } : {}) });
    return this.last(method);
  }

  /** The newest message of that method at the handler. */
  last(method?: string): Handed {
    const found = this.handed.findLast((handed) => handed.method === method);
    if (!found) throw new Error(`nothing of ${method} was handed on`);
    return found;
  }

  get methods(): readonly (string | undefined)[] {
    return this.handed.map(({ method }) => method);
  }

  /** The lines that the client got, as JSON; takes them, so that each is looked at once. */
  take(): unknown[] {
    return this.sent.splice(0).map((text) => JSON.parse(text));
  }

  eventsOf<T extends ProxyEvent['type']>(type: T): Extract<ProxyEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<ProxyEvent, { type: T }> => event.type === type);
  }

  /** True once nothing is under way: drain has nothing to wait for. */
  async idle(): Promise<boolean> {
    let over = false;
    void this.relay.drain(0).then(() => {
      over = true;
    });
    await turn();
    return over;
  }
}

/** The same message under another id. */
export const renamed = (text: string, id: string): string => {
  const message = messageOf(text);
  if (message.kind === 'notification') throw new Error('a notification has no id');
  return withIdText(message, id).text;
};

export { turn };
