import { type Id, idKey, isId, type Message, paramsOf, progressTokenOf } from '../../core/jsonrpc/message.ts';
import type { PeerFact, Peers } from '../../core/pipeline/peers.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';
import { TransientMap } from '../../core/time/transient-map.ts';
import { Countdown } from '../deadline.ts';
import type { Heartbeat } from '../heartbeat.ts';
import { PendingServerRequests } from './pending-server-requests.ts';

/** The ids of clients with a session, which another process may serve as well. */
export const SESSION_CLIENT = 'http-session-';
/** A server request that another process reported, and whose end it has not: its user is away. */
const MAX_REMOTE_HOLD_MS = 3_600_000;

/** One request in flight. */
export interface HttpCall {
  /** Created with the first message of its stream; most calls have none. */
  tap: StreamTap | undefined;
  /** Notifies progress for a server that is silent. */
  heartbeat: Heartbeat | undefined;
  /** Index in the list of calls. */
  index: number;
  /** Keys in the indexes of requests and progress tokens; undefined where it has none. */
  readonly requestKey: string | undefined;
  readonly tokenKey: string | undefined;
  readonly client: string;
  readonly controller: CallController;
  readonly deadline: Countdown;
  /** Undefined for GET and DELETE. */
  readonly message: Message | undefined;
  /** True once bytes may have been sent. */
  sent: boolean;
  /** True once its outcome is known. */
  over: boolean;
  /** True for a stream, which ends only when its client or the proxy leaves. */
  readonly stream: boolean;
}

/** Observes the messages of one stream. */
export interface StreamTap {
  onMessage(message: Message): void;
  close(): void;
}

/** The requests in flight of all listener clients; the listener bounds their number. */
export class HttpCalls {
  readonly #clock: Clock;
  readonly #peers: Peers | undefined;
  /**
   * Unordered. An array, because a Map reallocates its table whenever it becomes empty, which is
   * often.
   */
  readonly #calls: HttpCall[] = [];
  /** By client and id, and by client and progress token: a message may name one of thousands. */
  readonly #requests = new TransientMap<string, HttpCall>();
  readonly #tokens = new TransientMap<string, HttpCall>();
  readonly #serverRequests = new PendingServerRequests();
  #whenIdle: (() => void) | undefined;

  /** @param peers - the other workers. */
  constructor(clock: Clock, peers?: Peers) {
    this.#clock = clock;
    this.#peers = peers;
  }

  get size(): number {
    return this.#calls.length;
  }

  /** @param limit - milliseconds, 0 = none; `expire` runs when they are over. */
  add(entry: Pick<HttpCall, 'client' | 'message' | 'stream'>, limit: number, expire: () => void): HttpCall {
    const { message, client } = entry;
    const request = message?.kind === 'request' ? message : undefined;
    const token = request && progressTokenOf(request);
    const added: HttpCall = {
      client,
      message,
      requestKey: request && keyOf(client, request.id),
      tokenKey: token === undefined ? undefined : keyOf(client, token),
      stream: entry.stream,
      tap: undefined,
      heartbeat: undefined,
      index: this.#calls.length,
      controller: new CallController(),
      deadline: new Countdown(this.#clock, limit, expire),
      sent: false,
      over: false,
    };
    this.#calls.push(added);
    if (added.requestKey !== undefined) this.#requests.add(added.requestKey, added);
    if (added.tokenKey !== undefined) this.#tokens.add(added.tokenKey, added);
    if (message?.kind === 'response' && message.id !== undefined) this.#settle(client, message.id);
    return added;
  }

  remove(entry: HttpCall): void {
    entry.deadline.stop();
    const last = this.#calls.pop();
    if (last && last !== entry) {
      this.#calls[entry.index] = last;
      last.index = entry.index;
    }
    if (entry.requestKey !== undefined) this.#requests.remove(entry.requestKey, entry);
    if (entry.tokenKey !== undefined) this.#tokens.remove(entry.tokenKey, entry);
    if (this.#calls.length === 0) this.#whenIdle?.();
  }

  /** A server request was answered. */
  #settle(client: string, id: Id): void {
    this.#serverRequests.settle(client, id);
    this.publish({ fact: 'answered', client, id });
  }

  /** Informs the other workers, which may have calls of the same session. */
  publish(fact: Extract<PeerFact, { readonly client: string }>): void {
    if (fact.client.startsWith(SESSION_CLIENT)) this.#peers?.publish(fact);
  }

  /** Obeys what another worker has observed. */
  learn(fact: PeerFact): void {
    if (fact.fact === 'answered') this.#serverRequests.settle(fact.client, fact.id);
    else if (fact.fact === 'progress') this.#restartOwn(fact.client, fact.token);
    else if (fact.fact === 'asked') {
      const deadlines = this.#deadlinesOf(fact.client);
      if (deadlines.length === 0) return;
      const release = this.#serverRequests.add(fact.client, fact.id, deadlines);
      this.#clock.schedule(MAX_REMOTE_HOLD_MS, release, { keepAlive: false });
    }
  }

  #deadlinesOf(client: string): Countdown[] {
    return this.#calls.filter((entry) => entry.client === client).map(({ deadline }) => deadline);
  }

  /** Finds a request of this client. */
  find(client: string, id: Id): HttpCall | undefined {
    return this.#requests.get(keyOf(client, id));
  }

  /** Observes the stream of one call. */
  tapCall(entry: HttpCall): StreamTap {
    return new CallTap(this, entry.client, entry);
  }

  /**
   * Observes a session's standalone stream, where a server request may belong to any of its calls.
   */
  tapSession(client: string): StreamTap {
    const tap = new CallTap(this, client, undefined);
    return this.#peers ? this.#shareTap(client, tap) : tap;
  }

  /** Other workers may have the calls that the server's requests belong to. */
  #shareTap(client: string, tap: StreamTap): StreamTap {
    let open: Id | undefined;
    const release = (): void => {
      if (open !== undefined) this.publish({ fact: 'answered', client, id: open });
      open = undefined;
    };
    return {
      onMessage: (message) => {
        release();
        tap.onMessage(message);
        if (message.kind !== 'request') return;
        open = message.id;
        this.publish({ fact: 'asked', client, id: message.id });
      },
      close: () => {
        release();
        tap.close();
      },
    };
  }

  /**
   * Obeys a message of a stream: progress restarts a deadline, a server request holds those of its
   * calls.
   * @param entry - the call of the stream; undefined for a session's stream.
   * @returns what ends the hold, where there is one.
   */
  obey(client: string, message: Message, entry: HttpCall | undefined): (() => void) | undefined {
    if (message.kind === 'request') {
      const held = entry ? [entry.deadline] : this.#deadlinesOf(client);
      return this.#serverRequests.add(client, message.id, held);
    }
    if (message.kind === 'notification' && message.method === 'notifications/progress') {
      this.#restartDeadline(client, paramsOf(message).progressToken);
    }
    return undefined;
  }

  #restartDeadline(client: string, token: unknown): void {
    if (isId(token) && !this.#restartOwn(client, token)) this.publish({ fact: 'progress', client, token });
  }

  /** @returns false where the call is not in flight here. */
  #restartOwn(client: string, token: Id): boolean {
    const called = this.#tokens.get(keyOf(client, token));
    called?.deadline.restart();
    called?.heartbeat?.stop();
    return called !== undefined;
  }

  /** Aborts the matching calls, each with its own reason. */
  abortMatching(matches: (entry: HttpCall) => boolean, reasonFor: (entry: HttpCall) => Error): void {
    for (const entry of [...this.#calls]) if (matches(entry)) entry.controller.abort(reasonFor(entry));
  }

  /** Resolves when no request is in flight. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
      if (this.#calls.length === 0) resolve();
    });
  }
}

/** An object takes the place of closures: thousands of streams may be open. */
class CallTap implements StreamTap {
  readonly #calls: HttpCalls;
  readonly #client: string;
  readonly #entry: HttpCall | undefined;
  #release: (() => void) | undefined;

  constructor(calls: HttpCalls, client: string, entry: HttpCall | undefined) {
    this.#calls = calls;
    this.#client = client;
    this.#entry = entry;
  }

  onMessage(message: Message): void {
    // Any later message shows that the server request was answered.
    this.#release?.();
    this.#release = this.#calls.obey(this.#client, message, this.#entry);
  }

  close(): void {
    this.#release?.();
  }
}

/** Unambiguous, because a client id contains no blank and `idKey` includes the type. */
const keyOf = (client: string, id: Id): string => `${client} ${idKey(id)}`;
