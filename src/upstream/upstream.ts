import { type Id, isId, paramsOf, statedVersion } from '../core/jsonrpc/message.ts';
import type { Call, Client, Emit, Handler, KnownSession, Layer, Reply } from '../core/pipeline/call.ts';
import type { SessionState } from '../core/pipeline/proxy-state.ts';
import type { PoolLimits } from '../pool/maintenance.ts';
import type { SessionQuota } from '../pool/session-quota.ts';
import { Batches } from './session/batches.ts';
import { ClientSessions } from './session/client-sessions.ts';
import type { OpenLimit } from './session/opener.ts';
import { Session } from './session/session.ts';
import { Stateless, type StatelessDeps, StatelessOrigin } from './stateless/stateless.ts';
import type { Affinity } from './transport/affinity.ts';
import type { SignedTransport } from './transport/signed-transport.ts';

export interface UpstreamDeps extends StatelessDeps {
  /** The profile that clients open sessions with; those of others are opened the same way. */
  readonly defaultProfile: string;
  /** The transport of a profile, created on first use. */
  readonly transportOf: (profile: string) => SignedTransport;
  /** The layers around `initialize`. */
  readonly openingLayersOf: (profile: string) => readonly Layer[];
  /** Awaited before a call is re-sent on another session: the rate limit counts every attempt. */
  readonly beforeResend?: (call: Call) => Promise<void>;
  /** Called when a session was replaced without the client's knowledge. */
  readonly onReplaced?: (profile: string) => void;
  /** Called when a stream that announces changed tools opens; returns what to call at its end. */
  readonly onToolStream?: (client: string, profile: string) => () => void;
  /** The limits for each client and profile. */
  readonly limits: PoolLimits;
  /** Longest wait of a call for a session that is being opened. */
  readonly openLimit?: OpenLimit | undefined;
  /** The limit on all sessions. */
  readonly quota: SessionQuota;
}

/**
 * The innermost handler. Routes each message by the version it states, so that both eras work on
 * one connection, and session-era messages to the sessions of their client and profile.
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
    // A cancellation has the era of its request; in the stateless era nothing is posted.
    if (message.method === 'notifications/cancelled') return undefined;
    return this.#stateless.notify(call, message, claim);
  }

  #handleInSession(call: Call): Promise<Reply> {
    const { message, signal } = call;
    const sessions = this.#sessionsOf(call.client, call.profile, call.emit);
    const send = call.batch ? this.#batches.send : sendAlone;
    if (message.kind === 'response') {
      // Only the session that sent the request knows the id; others would reject the response or
      // mistake it.
      const session = call.origin instanceof Session ? call.origin : sessions.session;
      return send(session, call);
    }
    if (message.kind === 'request') {
      if (message.method === 'initialize') {
        if (call.assumedVersion === undefined) return sessions.initialize(call, message);
        sessions.deferInitialize(call, message, call.assumedVersion);
        return Promise.resolve({ kind: 'accepted' });
      }
      return sessions.sendCall(call, send);
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
      // Progress of a server request belongs to the session that sent it.
      return send(call.origin, call);
    }
    return sessions.sendCall(call, send);
  }

  /** A cancellation names the request but not its profile. */
  #findByRequest(client: Client, id: Id): ClientSessions | undefined {
    return [...this.#profiles]
      .map((profile) => this.#clientSessions.get(keyOf(client, profile)))
      .find((sessions) => sessions?.sessionFor(id).carries(id));
  }

  #sessionsOf(client: Client, profile: string, emit: Emit): ClientSessions {
    const key = keyOf(client, profile);
    const existing = this.#clientSessions.get(key);
    if (existing) return existing;
    const { defaultProfile, clock, events, readTimeoutMs, limits, quota, openLimit } = this.#deps;
    const transport = this.#deps.transportOf(profile);
    const onToolStream = () => this.#deps.onToolStream?.(client.id, profile);
    const sessions = new ClientSessions(
      {
        session: { client, transport, clock, events, readTimeoutMs, onToolStream },
        beforeResend: this.#deps.beforeResend,
        onReplaced: () => this.#deps.onReplaced?.(profile),
        openingLayers: this.#deps.openingLayersOf(profile),
        limits,
        quota,
        openLimit,
        primary: profile === defaultProfile ? undefined : this.#sessionsOf(client, defaultProfile, emit),
      },
      emit,
    );
    if (client.session && profile === defaultProfile) sessions.adopt(client.session);
    this.#profiles.add(profile);
    this.#clientSessions.set(key, sessions);
    return sessions;
  }

  /** Describes the open sessions of all clients, by profile. */
  describe(): readonly (SessionState & { readonly profile: string })[] {
    return [...this.#clientSessions].flatMap(([key, sessions]) => {
      const [client = '', profile = ''] = splitKey(key);
      return sessions.describe().map((session) => ({ ...session, client, profile }));
    });
  }

  /** The session of a client with the default profile; undefined where it has none with an id. */
  sessionOf(client: Client): KnownSession | undefined {
    return this.#clientSessions.get(keyOf(client, this.#deps.defaultProfile))?.session.known;
  }

  /** The affinity of that session; undefined where no message was sent on it. */
  affinityOf(client: Client): Affinity | undefined {
    return this.#clientSessions.get(keyOf(client, this.#deps.defaultProfile))?.session.affinity;
  }

  /**
   * Ends the sessions of one client. Never throws.
   * @param keep - true: they stay open at the server.
   */
  async closeClient(client: Client, { keep }: { readonly keep: boolean }): Promise<void> {
    // A session that is continued is deleted also where no message was sent on it.
    if (!keep && client.session) this.#sessionsOf(client, this.#deps.defaultProfile, async () => undefined);
    const keys = [...this.#profiles].map((profile) => keyOf(client, profile));
    const all = keys.map((key) => this.#clientSessions.get(key));
    for (const key of keys) this.#clientSessions.delete(key);
    this.#stateless.removeClient(client, this.#profiles);
    await Promise.all(all.map((sessions) => sessions?.close({ keep })));
  }

  /** The client has left: calls that wait for a session are refused, others go on. */
  refuseWaiting(): void {
    for (const sessions of this.#clientSessions.values()) sessions.refuseWaiting();
  }

  /** Replaces the sessions with new ones; no call is cut. */
  drain(): void {
    for (const sessions of this.#clientSessions.values()) sessions.drain();
  }

  /** Deletes all sessions in parallel, with a bounded wait. Never throws. */
  async close(): Promise<void> {
    const all = [...this.#clientSessions.values()];
    this.#clientSessions.clear();
    await Promise.all(all.map((sessions) => sessions.close()));
  }
}

const sendAlone = (session: Session, call: Call): Promise<Reply> => session.send(call);

/** Client ids contain no blank. */
const keyOf = (client: Client, profile: string): string => `${client.id} ${profile}`;

const splitKey = (key: string): [string, string] => {
  const at = key.indexOf(' ');
  return [key.slice(0, at), key.slice(at + 1)];
};
