import type { Batch, Call, Client, Handler, Reply } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import type { Events } from '../core/events.ts';
import { isId, paramsOf } from '../core/message.ts';
import { BATCH_REVISION, Session } from './session.ts';
import type { Uplink } from './uplink.ts';

export interface UpstreamDeps {
  /** The road of a profile, made on first use and kept. */
  readonly uplinkOf: (profile: string) => Uplink;
  readonly clock: Clock;
  readonly events: Events;
  readonly readTimeoutMs: number;
}

interface Gathering {
  readonly session: Session;
  readonly members: { readonly call: Call; readonly settle: (reply: Promise<Reply>) => void }[];
}

/** The bottom of every stack: knows which session a message belongs to, and hands it over. */
export class Upstream {
  readonly #deps: UpstreamDeps;
  /** One session per client and profile; what precedes `initialize` goes through one that has no id. */
  readonly #sessions = new Map<string, Session>();
  readonly #gatherings = new Map<Batch, Gathering>();

  constructor(deps: UpstreamDeps) {
    this.#deps = deps;
  }

  readonly handle: Handler = (call) => {
    const { message, profile, signal } = call;
    const session = this.#sessionOf(call.client, profile, call);
    if (message.kind === 'response') {
      // Only the session that asked can know the id; every other would refuse the answer or, worse, take it.
      const asked = call.origin instanceof Session ? call.origin : session;
      return this.#member(call, asked) ?? asked.notify(message.text, signal);
    }
    if (message.method === 'initialize' && message.kind === 'request') return this.#initialize(call, message);
    if (message.kind === 'request') {
      return this.#member(call, session) ?? first(session.request([call], message.text));
    }
    if (message.method === 'notifications/cancelled') {
      const { requestId } = paramsOf(message);
      if (isId(requestId)) return session.cancel(requestId, message.text, signal);
    }
    if (message.method === 'notifications/initialized') return session.initialized(message.text, signal);
    return this.#member(call, session) ?? session.notify(message.text, signal);
  };

  #sessionOf(client: Client, profile: string, call: Call): Session {
    const key = sessionKey(client, profile);
    const existing = this.#sessions.get(key);
    if (existing) return existing;
    const session = this.#newSession(profile, call);
    this.#sessions.set(key, session);
    return session;
  }

  #newSession(profile: string, call: Call): Session {
    const { uplinkOf, clock, events, readTimeoutMs } = this.#deps;
    return new Session({ uplink: uplinkOf(profile), clock, events, readTimeoutMs }, call.emit);
  }

  async #initialize(call: Call, message: Parameters<Session['initialize']>[1]): Promise<Reply> {
    const session = this.#newSession(call.profile, call);
    const reply = await session.initialize(call, message);
    if (reply.kind !== 'answer' || reply.message.outcome !== 'result') return reply;
    const key = sessionKey(call.client, call.profile);
    const former = this.#sessions.get(key);
    this.#sessions.set(key, session);
    // A client that initializes again has left its former session: nobody would ever delete it.
    void former?.close();
    return reply;
  }

  /** Gathers the members of a batch, all sent down in one turn, and posts them as the array that they came in. */
  #member(call: Call, session: Session): Promise<Reply> | undefined {
    const { batch } = call;
    if (!batch || session.version !== BATCH_REVISION) return undefined;
    return new Promise((resolve) => {
      const gathering = this.#gatherings.get(batch);
      if (gathering?.session === session) {
        gathering.members.push({ call, settle: resolve });
        return;
      }
      const started: Gathering = { session, members: [{ call, settle: resolve }] };
      this.#gatherings.set(batch, started);
      setImmediate(() => {
        if (this.#gatherings.get(batch) === started) this.#gatherings.delete(batch);
        this.#post(started);
      });
    });
  }

  #post({ session, members }: Gathering): void {
    const calls = members.map(({ call }) => call);
    const text = `[${calls.map(({ message }) => message.text).join(',')}]`;
    if (calls.some(({ message }) => message.kind === 'request')) {
      const replies = session.request(calls, text);
      members.forEach(({ settle }, at) => {
        settle(replies[at] ?? Promise.reject(new TypeError('a batch member without a reply')));
      });
      return;
    }
    const accepted = session.notify(text, calls[0]?.signal ?? new AbortController().signal);
    for (const { settle } of members) settle(accepted);
  }

  /** Deletes every session, in parallel and bounded. Never throws. */
  async close(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map((session) => session.close()));
  }
}

const sessionKey = (client: Client, profile: string): string => JSON.stringify([client.id, profile]);

const first = (replies: readonly Promise<Reply>[]): Promise<Reply> =>
  replies[0] ?? Promise.reject(new TypeError('a request without a reply'));
