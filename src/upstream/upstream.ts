import { type Id, isId, paramsOf, statedVersion } from '../core/jsonrpc/message.ts';
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
  readonly transportOf: (profile: string) => SignedTransport;
  /** The layers around opening a session of the profile. */
  readonly openingLayersOf: (profile: string) => readonly Layer[];
  /**
   * What a call waits for that is sent once more, on another session: its turn, because every
   * attempt counts.
   */
  readonly beforeResend?: (call: Call) => Promise<void>;
  /** A client has another session with this profile than before, and was not told. */
  readonly onReplaced?: (profile: string) => void;
  /**
   * A stream has opened on which a server tells this client of changed tools; returns what to call
   * when it has ended.
   */
  readonly onToolStream?: (client: string, profile: string) => () => void;
  /** Undefined: one session per conversation. */
  readonly limits?: PoolLimits | undefined;
  /** Longest wait of a call for a session that is being opened. */
  readonly openLimit?: OpenLimit | undefined;
  /** How many sessions all conversations may have together. */
  readonly quota: SessionQuota;
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
  readonly #clientSessions = new Map<string, ClientSessions>();
  readonly #profiles = new Set<string>();
  readonly #batches = new Batches();

  constructor(deps: UpstreamDeps) {
    this.#deps = deps;
    this.#stateless = new Stateless(deps);
  }

  readonly handle: Handler = (call) => this.#handleStateless(call) ?? this.#handleInSession(call);

  #handleStateless(call: Call): Promise<Reply> | undefined {
    const { message, origin } = call;
    if (origin instanceof StatelessOrigin) return this.#stateless.answer(call, origin);
    const claim = statedVersion(message);
    if (claim === undefined || message.kind === 'response') return undefined;
    if (message.kind === 'request') return this.#stateless.request(call, message, claim);
    // It has the era of the request that it names, and without a session nothing is posted for it.
    if (message.method === 'notifications/cancelled') return undefined;
    return this.#stateless.notify(call, message, claim);
  }

  #handleInSession(call: Call): Promise<Reply> {
    const { message, signal } = call;
    const sessions = this.#sessionsOf(call.client, call.profile, call.emit);
    if (message.kind === 'response') {
      // Only the session that asked can know the id; every other would refuse the answer or, worse,
      // take it.
      const session = call.origin instanceof Session ? call.origin : sessions.session;
      return this.#batches.sendMember(call, session) ?? session.notify(message.text, signal);
    }
    if (message.kind === 'request') {
      if (message.method === 'initialize') {
        if (call.assumedVersion === undefined) return sessions.initialize(call, message);
        sessions.deferInitialize(call, message, call.assumedVersion);
        return Promise.resolve({ kind: 'accepted' });
      }
      return sessions.sendCall(
        call,
        (session) => this.#batches.sendMember(call, session) ?? first(session.request([call], message.text)),
      );
    }
    if (message.method === 'notifications/cancelled') {
      const { requestId } = paramsOf(message);
      if (isId(requestId)) {
        const carrier = this.#findByRequest(call.client, requestId) ?? sessions;
        return carrier.sessionFor(requestId).cancel(requestId, message.text, signal);
      }
    }
    if (message.method === 'notifications/initialized') {
      return sessions.sendCall(call, (session) => session.initialized(message.text, signal));
    }
    if (call.origin instanceof Session && !call.origin.lost) {
      // Progress of what a server asked is for the session that asked.
      const session = call.origin;
      return this.#batches.sendMember(call, session) ?? session.notify(message.text, signal);
    }
    return sessions.sendCall(
      call,
      (session) => this.#batches.sendMember(call, session) ?? session.notify(message.text, signal),
    );
  }

  /** A cancellation says which request, and not with which profile that went. */
  #findByRequest(client: Client, id: Id): ClientSessions | undefined {
    return [...this.#profiles]
      .map((profile) => this.#clientSessions.get(keyOf(client, profile)))
      .find((sessions) => sessions?.sessionFor(id).carries(id));
  }

  #sessionsOf(client: Client, profile: string, emit: Emit): ClientSessions {
    const key = keyOf(client, profile);
    const existing = this.#clientSessions.get(key);
    if (existing) return existing;
    const {
      defaultProfile,
      transportOf,
      openingLayersOf,
      clock,
      events,
      readTimeoutMs,
      limits,
      quota,
      openLimit,
    } = this.#deps;
    const onToolStream = () => this.#deps.onToolStream?.(client.id, profile);
    const sessions = new ClientSessions(
      {
        profile,
        createSession: (emitOf, isDuplicate) =>
          new Session(
            { transport: transportOf(profile), clock, events, readTimeoutMs, isDuplicate, onToolStream },
            emitOf,
          ),
        beforeResend: this.#deps.beforeResend,
        onReplaced: () => this.#deps.onReplaced?.(profile),
        openingLayers: openingLayersOf(profile),
        clock,
        events,
        limits,
        quota,
        openLimit,
        primary: profile === defaultProfile ? undefined : this.#sessionsOf(client, defaultProfile, emit),
      },
      emit,
    );
    this.#profiles.add(profile);
    this.#clientSessions.set(key, sessions);
    return sessions;
  }

  /** The client has left: calls that wait for a session are refused; those under way go on. */
  refuseWaiting(): void {
    for (const sessions of this.#clientSessions.values()) sessions.refuseWaiting();
  }

  /** Replaces the sessions with new ones; no call is cut. */
  drain(): void {
    for (const sessions of this.#clientSessions.values()) sessions.drain();
  }

  /** Deletes every session, in parallel and bounded. Never throws. */
  async close(): Promise<void> {
    const all = [...this.#clientSessions.values()];
    this.#clientSessions.clear();
    await Promise.all(all.map((sessions) => sessions.close()));
  }
}

/** No id of a client holds a blank. */
const keyOf = (client: Client, profile: string): string => `${client.id} ${profile}`;

const first = (replies: readonly Promise<Reply>[]): Promise<Reply> =>
  replies[0] ?? Promise.reject(new TypeError('a request without a reply'));
