import { ProxyError } from '../../core/errors/errors.ts';
import { type Id, type Request, valueTextAt } from '../../core/jsonrpc/message.ts';
import type { Call, Emit, KnownSession, Layer, Reply } from '../../core/pipeline/call.ts';
import type { SessionState } from '../../core/pipeline/proxy-state.ts';
import { settleWithin } from '../../core/time/waits.ts';
import { isSessionLost } from '../transport/lost-session.ts';
import { ClientState, isProfileWide } from './client-state.ts';
import { withoutDuplicates } from './dedupe-notifications.ts';
import { LATE_ANSWER_MS, Opener, type SessionOpening } from './opener.ts';
import { Resends } from './resends.ts';
import { Session } from './session.ts';
import {
  ClientSessionPool,
  type ClientSessionPoolDeps,
  type PoolOwner,
  type SendCall,
} from './session-pool.ts';

export interface ClientSessionsDeps extends ClientSessionPoolDeps {
  /** Awaited before a call is re-sent. */
  readonly beforeResend?: ((call: Call) => Promise<void>) | undefined;
  /** The layers around every `initialize`, the client's and the proxy's: retry and breaker. */
  readonly openingLayers: readonly Layer[];
  /** The same client's sessions with the default profile; undefined for that profile. */
  readonly primary?: ClientSessions | undefined;
}

/**
 * The sessions of one client with one profile. For other profiles than the default, the first is
 * opened when a call needs it, as the client opened its own.
 */
export class ClientSessions implements PoolOwner {
  readonly #deps: ClientSessionsDeps;
  /** The part of the client's state that a new session needs. */
  readonly clientState: ClientState;
  readonly #opener: Opener;
  /** Carries what is sent before any `initialize`, without a session id. */
  readonly #unopened: Session;
  #pool: ClientSessionPool | undefined;
  /** Running `initialize` calls of the client. */
  readonly #initializing = new Set<Promise<Reply>>();
  /** A deferred `initialize`: the client was answered from a snapshot. */
  #deferred: SessionOpening | undefined;
  /** The client's sessions with its other profiles. */
  readonly #followers: ClientSessions[] = [];
  #closed = false;

  constructor(deps: ClientSessionsDeps, emit: Emit) {
    const { session, openingLayers, openLimit, primary } = deps;
    this.#deps = deps;
    this.clientState = new ClientState(primary?.clientState);
    this.#unopened = new Session(session, emit);
    this.#opener = new Opener({
      session,
      layers: openingLayers,
      limit: openLimit,
      clientState: this.clientState,
    });
    if (!primary) return;
    primary.#followers.push(this);
    const opening = primary.#deferred ?? primary.#pool?.opening;
    if (opening) this.#follow(opening);
  }

  get session(): Session {
    return this.#pool?.session ?? this.#unopened;
  }

  /** The session that carries a request: the current one, or one that was lost meanwhile. */
  sessionFor(id: Id): Session {
    return this.#pool?.findByRequest(id) ?? this.session;
  }

  /** Records an `initialize` that was answered from a snapshot: its session is opened later. */
  deferInitialize(call: Call, request: Request, version: string): void {
    this.#deferred = this.#openingOf(call, request, version);
    for (const follower of this.#followers) follower.#follow(this.#deferred);
  }

  /** Opens a session by the client's `initialize`, and closes the previous one. */
  async initialize(call: Call, request: Request): Promise<Reply> {
    const initializing = this.#initialize(call, request);
    this.#initializing.add(initializing);
    try {
      return await initializing;
    } finally {
      this.#initializing.delete(initializing);
    }
  }

  async #initialize(call: Call, request: Request): Promise<Reply> {
    const deferred =
      this.#deferred && hasSameParams(this.#deferred.request, request) ? this.#deferred : undefined;
    const opening = this.#openingOf(call, request, undefined);
    const session = new Session(this.#deps.session, opening.emit);
    const pool = this.#createPool(opening);
    const reply = await pool.openFirst(session, () => this.#opener.initialize(session, call, request));
    if (!pool.session) return reply;
    this.clientState.clear();
    this.#deferred = undefined;
    this.#use(pool);
    // After a deferred `initialize`, sessions of other profiles stay valid.
    if (!deferred || deferred.version !== session.version)
      for (const follower of this.#followers) follower.#follow(pool.opening);
    return reply;
  }

  #openingOf({ client, emit }: Call, request: Request, version: string | undefined): SessionOpening {
    return { client, request, emit: withoutDuplicates(emit, this.#deps.session.clock), version };
  }

  #createPool(opening: SessionOpening): ClientSessionPool {
    return new ClientSessionPool(this.#deps, {
      opener: this.#opener,
      opening,
      follows: this.#deps.primary !== undefined,
      replaces: this.#pool?.hasSessions ?? false,
      owner: this,
    });
  }

  #use(pool: ClientSessionPool): void {
    pool.replace(this.#pool);
    this.#pool = pool;
    void this.#unopened.close();
    if (this.#closed) void pool.close();
  }

  /** The next call opens a session as the client has opened its own. */
  #follow(opening: SessionOpening): void {
    this.#use(this.#createPool(opening));
  }

  /** Sends the call, and again on a new session where the server has lost the first. */
  sendCall(call: Call, send: SendCall): Promise<Reply> {
    return this.#sendOnPool(call, send, undefined);
  }

  #sendOnPool(call: Call, send: SendCall, resends: Resends | undefined): Promise<Reply> {
    return (
      this.#pool?.sendCall(call, send, resends) ??
      this.#sendUnopened(call, send, resends ?? this.resendsOf(call))
    );
  }

  resendsOf(call: Call): Resends {
    const { session, beforeResend } = this.#deps;
    return new Resends(session.clock, call, beforeResend);
  }

  /** Called where a pool has failed a call. */
  sendElsewhere(
    pool: ClientSessionPool,
    call: Call,
    send: SendCall,
    resends: Resends | undefined,
    error: unknown,
  ): Promise<Reply> {
    // The pool was closed because the client initialized again: use the new one.
    const isReplaced = this.#pool !== pool && !this.#closed && !call.signal.aborted;
    if (!isReplaced || !isShuttingDown(error)) return Promise.reject(error);
    return this.#sendOnPool(call, send, resends);
  }

  /** Records the client state that the server has accepted, and repeats it for other profiles. */
  onAccepted({ message }: Call, reply: Reply): void {
    if (reply.kind === 'answer') this.clientState.remember(message);
    if (isProfileWide(message)) for (const follower of this.#followers) follower.#pool?.repeat(message);
  }

  async #sendUnopened(call: Call, send: SendCall, resends: Resends): Promise<Reply> {
    for (;;) {
      try {
        const turn = resends.beforeAttempt();
        if (turn) await turn;
        return await send(this.#unopened, call);
      } catch (error) {
        // The platform may have routed to a backend that is gone.
        if (!isSessionLost(error) || !this.#unopened.dropAffinity()) throw error;
        await resends.waitAfter(error);
      }
    }
  }

  describe(): readonly Omit<SessionState, 'client'>[] {
    return this.#pool?.describe() ?? [];
  }

  /** Continues a session that an earlier run has opened. */
  adopt(known: KnownSession): void {
    this.#unopened.adopt(known);
  }

  /**
   * Deletes the sessions and aborts openings. Never throws.
   * @param keep - true: the sessions stay open at the server.
   */
  async close({ keep = false } = {}): Promise<void> {
    this.#closed = true;
    if (keep) {
      this.#unopened.leaveOpen();
      this.#pool?.leaveOpen();
    }
    const closing = [this.#unopened.close(), this.#pool?.close()];
    // A session that the server opens a moment later would be orphaned.
    if (this.#initializing.size > 0)
      await settleWithin(this.#deps.session.clock, LATE_ANSWER_MS, Promise.allSettled(this.#initializing));
    await Promise.all([...closing, this.#pool?.close()]);
  }

  /** The client has left: calls that wait for room in a session are refused, others go on. */
  refuseWaiting(): void {
    this.#pool?.refuseWaiting();
  }

  drain(): void {
    this.#pool?.drain();
  }
}

/** A closed pool refuses waiting calls, whatever the reason. */
const isShuttingDown = (error: unknown): boolean =>
  error instanceof ProxyError && error.reason === 'shutting-down';

/** Ids differ, because the client's `initialize` is sent later under its own. */
const hasSameParams = (one: Request, other: Request): boolean =>
  valueTextAt(one.text, ['params']) === valueTextAt(other.text, ['params']);
