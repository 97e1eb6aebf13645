import { claimOf, type Id, isId, paramsOf } from '../core/jsonrpc/message.ts';
import type { Call, Client, Emit, Handler, Layer, Reply } from '../core/pipeline/call.ts';
import type { PoolLimits } from '../pool/maintenance.ts';
import type { SessionQuota } from '../pool/session-quota.ts';
import { Batches } from './session/batches.ts';
import { ClientSessions } from './session/client-sessions.ts';
import type { OpenLimit } from './session/opener.ts';
import { Session } from './session/session.ts';
import { Stateless, type StatelessDeps, StatelessOrigin } from './stateless/stateless.ts';
import type { SignedTransport } from './transport/signed-transport.ts';

export interface UpstreamDeps extends StatelessDeps {
  /** The one that clients open sessions with; those of others are opened as they opened theirs. */
  readonly defaultProfile: string;
  /** The road of a profile, made on first use and kept. */
  readonly uplinkOf: (profile: string) => SignedTransport;
  /** The layers around opening a session of the profile. */
  readonly openingOf: (profile: string) => readonly Layer[];
  /**
   * What a call waits for that is sent once more, on another session: its turn, because every
   * attempt counts.
   */
  readonly again?: (call: Call) => Promise<void>;
  /** A client has another session with this profile than before, and was not told. */
  readonly replaced?: (profile: string) => void;
  /**
   * A stream has opened on which a server tells this client of changed tools; returns what to call
   * when it has ended.
   */
  readonly toolStream?: (client: string, profile: string) => () => void;
  /** Undefined: one session per conversation. */
  readonly limits?: PoolLimits | undefined;
  /** Longest wait of a call for a session that is being opened. */
  readonly openLimit?: OpenLimit | undefined;
  /** How many sessions all conversations may have together. */
  readonly places: SessionQuota;
}

/**
 * The bottom of every stack: hands each message to those who speak its revision, by what it says of
 * itself and nothing else, so that both eras run side by side on one pipe; and those with sessions
 * to the conversation that it belongs to.
 */
export class Upstream {
  readonly #deps: UpstreamDeps;
  readonly #stateless: Stateless;
  /** One per client and profile. */
  readonly #conversations = new Map<string, ClientSessions>();
  readonly #profiles = new Set<string>();
  readonly #batches = new Batches();

  constructor(deps: UpstreamDeps) {
    this.#deps = deps;
    this.#stateless = new Stateless(deps);
  }

  readonly handle: Handler = (call) => this.#withoutSession(call) ?? this.#inSession(call);

  #withoutSession(call: Call): Promise<Reply> | undefined {
    const { message, origin } = call;
    if (origin instanceof StatelessOrigin) return this.#stateless.answer(call, origin);
    const claim = claimOf(message);
    if (claim === undefined || message.kind === 'response') return undefined;
    if (message.kind === 'request') return this.#stateless.request(call, message, claim);
    // It has the era of the request that it names, and without a session nothing is posted for it.
    if (message.method === 'notifications/cancelled') return undefined;
    return this.#stateless.notify(call, message, claim);
  }

  #inSession(call: Call): Promise<Reply> {
    const { message, signal } = call;
    const conversation = this.#conversationOf(call.client, call.profile, call.emit);
    if (message.kind === 'response') {
      // Only the session that asked can know the id; every other would refuse the answer or, worse,
      // take it.
      const asked = call.origin instanceof Session ? call.origin : conversation.session;
      return this.#batches.member(call, asked) ?? asked.notify(message.text, signal);
    }
    if (message.kind === 'request') {
      if (message.method === 'initialize') {
        if (call.foretold === undefined) return conversation.initialize(call, message);
        conversation.foretell(call, message, call.foretold);
        return Promise.resolve({ kind: 'accepted' });
      }
      return conversation.carry(
        call,
        (session) => this.#batches.member(call, session) ?? first(session.request([call], message.text)),
      );
    }
    if (message.method === 'notifications/cancelled') {
      const { requestId } = paramsOf(message);
      if (isId(requestId)) {
        const carrier = this.#carrierOf(call.client, requestId) ?? conversation;
        return carrier.sessionOf(requestId).cancel(requestId, message.text, signal);
      }
    }
    if (message.method === 'notifications/initialized') {
      return conversation.carry(call, (session) => session.initialized(message.text, signal));
    }
    if (call.origin instanceof Session && !call.origin.lost) {
      // Progress of what a server asked is for the session that asked.
      const asked = call.origin;
      return this.#batches.member(call, asked) ?? asked.notify(message.text, signal);
    }
    return conversation.carry(
      call,
      (session) => this.#batches.member(call, session) ?? session.notify(message.text, signal),
    );
  }

  /** A cancellation says which request, and not with which profile that went. */
  #carrierOf(client: Client, id: Id): ClientSessions | undefined {
    return [...this.#profiles]
      .map((profile) => this.#conversations.get(keyOf(client, profile)))
      .find((conversation) => conversation?.sessionOf(id).carries(id));
  }

  #conversationOf(client: Client, profile: string, emit: Emit): ClientSessions {
    const key = keyOf(client, profile);
    const existing = this.#conversations.get(key);
    if (existing) return existing;
    const { defaultProfile, uplinkOf, openingOf, clock, events, readTimeoutMs, limits, places, openLimit } =
      this.#deps;
    const toolStream = () => this.#deps.toolStream?.(client.id, profile);
    const conversation = new ClientSessions(
      {
        profile,
        newSession: (emitOf, isEcho) =>
          new Session(
            { uplink: uplinkOf(profile), clock, events, readTimeoutMs, isEcho, toolStream },
            emitOf,
          ),
        again: this.#deps.again,
        replaced: () => this.#deps.replaced?.(profile),
        opening: openingOf(profile),
        clock,
        events,
        limits,
        places,
        openLimit,
        lead: profile === defaultProfile ? undefined : this.#conversationOf(client, defaultProfile, emit),
      },
      emit,
    );
    this.#profiles.add(profile);
    this.#conversations.set(key, conversation);
    return conversation;
  }

  /** The client has left: calls that wait for a session are refused; those under way go on. */
  refuseWaiting(): void {
    for (const conversation of this.#conversations.values()) conversation.refuseWaiting();
  }

  /** Replaces the sessions with new ones; no call is cut. */
  drain(): void {
    for (const conversation of this.#conversations.values()) conversation.drain();
  }

  /** Deletes every session, in parallel and bounded. Never throws. */
  async close(): Promise<void> {
    const conversations = [...this.#conversations.values()];
    this.#conversations.clear();
    await Promise.all(conversations.map((conversation) => conversation.close()));
  }
}

/** No id of a client holds a blank. */
const keyOf = (client: Client, profile: string): string => `${client.id} ${profile}`;

const first = (replies: readonly Promise<Reply>[]): Promise<Reply> =>
  replies[0] ?? Promise.reject(new TypeError('a request without a reply'));
