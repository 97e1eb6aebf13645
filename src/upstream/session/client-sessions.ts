import { ProxyError } from '../../core/errors/errors.ts';
import {
  type Id,
  isObject,
  type Message,
  paramsOf,
  type Request,
  valueTextAt,
} from '../../core/jsonrpc/message.ts';
import type { Call, Emit, Layer, Reply } from '../../core/pipeline/call.ts';
import { addWait } from '../../core/pipeline/call-record.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { SessionState } from '../../core/pipeline/proxy-state.ts';
import type { Span } from '../../core/pipeline/span.ts';
import type { Clock } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import { quotaExceeded } from '../../pool/errors.ts';
import type { PoolLimits } from '../../pool/maintenance.ts';
import type { SessionQuota } from '../../pool/session-quota.ts';
import { isSessionLost } from '../transport/lost-session.ts';
import { ClientState, isProfileWide, isSessionWide } from './client-state.ts';
import { createDuplicateDetector, type IsDuplicate } from './dedupe-notifications.ts';
import { notOpened, withLossMessage } from './errors.ts';
import { LATE_ANSWER_MS, Opener, type OpenLimit, type SessionOpening } from './opener.ts';
import { Resends } from './resends.ts';
import type { Session } from './session.ts';
import { SessionManager } from './session-manager.ts';

export interface ClientSessionsDeps {
  readonly profile: string;
  readonly createSession: (emit: Emit, isDuplicate: IsDuplicate | undefined) => Session;
  /** Awaited before a call is re-sent. */
  readonly beforeResend?: ((call: Call) => Promise<void>) | undefined;
  /** Called when the session was replaced. */
  readonly onReplaced: () => void;
  /** The layers around every `initialize`, the client's and the proxy's: retry and breaker. */
  readonly openingLayers: readonly Layer[];
  readonly clock: Clock;
  readonly events: Events;
  /** Undefined: one session carries everything. */
  readonly limits: PoolLimits | undefined;
  /** Shared by all clients. */
  readonly quota: SessionQuota;
  /** Longest wait of a call for a session that is being opened. */
  readonly openLimit?: OpenLimit | undefined;
  /** The same client's sessions with the default profile; undefined for that profile. */
  readonly primary?: ClientSessions | undefined;
}

/**
 * The sessions of one client with one profile. A lost session is replaced without the client
 * noticing, once for all calls that failed with it, and these are re-sent. For other profiles than
 * the default, the first session is opened when a call needs it, as the client opened its own.
 */
export class ClientSessions {
  readonly #deps: ClientSessionsDeps;
  readonly #clientState = new ClientState();
  readonly #opener: Opener;
  readonly #sessions: SessionManager;
  /** Running `initialize` calls of the client. */
  readonly #initializing = new Set<Promise<Reply>>();
  /** A deferred `initialize`: the client was answered from a snapshot. */
  #deferred: SessionOpening | undefined;
  /** The client's own opening that this session was opened with. */
  #followed: SessionOpening | undefined;
  /** The client's sessions with its other profiles. */
  readonly #followers: ClientSessions[] = [];

  constructor(deps: ClientSessionsDeps, emit: Emit) {
    const {
      profile,
      createSession,
      openingLayers,
      onReplaced,
      clock,
      events,
      limits,
      quota,
      openLimit,
      primary,
    } = deps;
    this.#deps = deps;
    const requestsToReplay = (): readonly Request[] =>
      primary ? primary.#clientState.profileWide : this.#clientState.requests;
    this.#opener = new Opener({
      profile,
      createSession,
      layers: openingLayers,
      clock,
      limit: openLimit,
      requestsToReplay,
    });
    if (primary) primary.#followers.push(this);
    this.#sessions = new SessionManager(
      {
        profile,
        follows: primary !== undefined,
        opener: this.#opener,
        onReplaced,
        clock,
        events,
        limits,
        quota,
        openLimit,
      },
      createSession(emit, undefined),
    );
  }

  /** The current session. */
  get session(): Session {
    return this.#sessions.session;
  }

  /**
   * The session that carries a request: the current one, or one that was lost while it answered.
   */
  sessionFor(id: Id): Session {
    return this.#sessions.sessionFor(id);
  }

  /**
   * Records a client's `initialize` that was answered from a snapshot. Its session is opened later;
   * those of other profiles need not wait.
   */
  deferInitialize({ client, emit }: Call, request: Request, version: string): void {
    const { clock, limits } = this.#deps;
    this.#deferred = {
      client,
      request,
      emit,
      isDuplicate: limits && createDuplicateDetector(clock),
      version,
    };
  }

  /**
   * Handles the client's `initialize`: opens a session and closes the previous one.
   * @throws ProxyError no-session, where it would be one more than all conversations may have.
   */
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
    const { clock, limits, quota } = this.#deps;
    // A repeated `initialize` replaces a session, which is closed as soon as the new one is open.
    const more = this.#sessions.opening === undefined;
    if (more && !quota.tryAcquire()) throw quotaExceeded(quota.max, quota.used);
    const deferred =
      this.#deferred && hasSameParams(this.#deferred.request, request) ? this.#deferred : undefined;
    const isDuplicate = deferred ? deferred.isDuplicate : limits && createDuplicateDetector(clock);
    const session = this.#deps.createSession(call.emit, isDuplicate);
    let opened = false;
    try {
      const reply = await this.#opener.initialize(session, call, request);
      opened = reply.kind === 'answer' && reply.message.outcome === 'result';
      if (!opened) return reply;
      const { client, emit } = call;
      this.#sessions.abandonOpening();
      this.#clientState.clear();
      const { version } = session;
      // After a deferred `initialize`, sessions of other profiles stay valid.
      const opening =
        deferred && deferred.version === version ? deferred : { client, request, emit, isDuplicate, version };
      this.#deferred = undefined;
      this.#sessions.begin(session, opening, more);
      return reply;
    } finally {
      if (more && !opened) quota.release();
    }
  }

  /** The client's own opening, if newer than the one that this session was opened with. */
  #newerOpening(): SessionOpening | undefined {
    const { primary } = this.#deps;
    const opening = primary && (primary.#deferred ?? primary.#sessions.opening);
    return opening === this.#followed ? undefined : opening;
  }

  /** Opens the session of a follower profile; concurrent callers share one attempt. */
  async #followPrimary({ signal, record }: Call): Promise<void> {
    for (let newer = this.#newerOpening(); newer; newer = this.#newerOpening()) {
      const own = newer;
      await this.#sessions
        .waitForOpening((until) => this.#openFollower(own, until, record?.span), signal)
        .catch((error: unknown) => {
          const overdue = !signal.aborted && error instanceof ProxyError && error.reason === 'timeout';
          throw overdue ? notOpened(this.#deps.profile, error) : error;
        });
    }
  }

  async #openFollower(own: SessionOpening, until: AbortSignal, span?: Span): Promise<Session> {
    const { clock, limits, quota, profile } = this.#deps;
    const more = this.#sessions.opening === undefined;
    if (more && !quota.tryAcquire()) throw quotaExceeded(quota.max, quota.used);
    // Duplicates occur only among sessions of one profile.
    const opening = { ...own, isDuplicate: limits && createDuplicateDetector(clock) };
    try {
      const session = await this.#opener.open(opening, until, undefined, 'profile', span);
      if (until.aborted) {
        await session.close();
        throw until.reason;
      }
      this.#followed = own;
      this.#sessions.begin(session, opening, more);
      return session;
    } catch (error) {
      if (more) quota.release();
      this.#sessions.openFailed(error);
      throw notOpened(profile, error);
    }
  }

  /**
   * Runs `send` on the current session, and on a new one where the server has lost it, while time
   * remains.
   */
  sendCall(call: Call, send: (session: Session) => Promise<Reply>): Promise<Reply> {
    const { beforeResend } = this.#deps;
    let sent = false;
    return this.#sendCall(call, (session) => {
      if (sent && beforeResend && call.message.kind === 'request')
        return beforeResend(call).then(() => send(session));
      sent = true;
      return send(session);
    });
  }

  async #sendCall(call: Call, sendOn: (session: Session) => Promise<Reply>): Promise<Reply> {
    if (this.#newerOpening())
      await addWait(call.record, 'sessionMs', this.#deps.clock, this.#followPrimary(call));
    const { pool } = this.#sessions;
    const { message } = call;
    if (pool && message.kind === 'request' && isPooledCall(message)) {
      try {
        return await pool.sendCall(call, sendOn);
      } catch (error) {
        // The pool was closed because the client initialized again: use the new one.
        const left = this.#sessions.pool !== pool && !this.#sessions.closing && !call.signal.aborted;
        if (left && isShuttingDown(error)) return this.#sendCall(call, sendOn);
        throw error;
      }
    }
    const send = pool ? (on: Session) => pool.withHold(on, () => sendOn(on)) : sendOn;
    let { session } = this.#sessions;
    // Also after a failed attempt: the server may be back.
    if (this.#sessions.isBroken) session = await this.#waitForReplacement(session, call);
    let reply: Reply | undefined;
    for (let resends: Resends | undefined; !reply; ) {
      try {
        reply = await send(session);
      } catch (error) {
        if (!isSessionLost(error)) throw error;
        // Without `initialize` there is no session, but the platform may have routed to a backend
        // that is gone.
        const { opening } = this.#sessions;
        if (!opening && !session.dropAffinity()) throw error;
        resends ??= new Resends(this.#deps.clock, call);
        await resends.waitAfter(error);
        if (!opening) continue;
        session = await this.#waitForReplacement(session, call).catch((failure: unknown) => {
          throw withLossMessage(error, failure);
        });
        // A new session has already received `initialized`.
        if (message.kind === 'notification' && message.method === 'notifications/initialized') {
          return { kind: 'accepted' };
        }
      }
    }
    if (reply.kind === 'answer' && reply.message.outcome === 'result') this.#clientState.remember(message);
    if (reply.kind !== 'answer' || reply.message.outcome === 'result') {
      this.#repeatToOthers(message);
      for (const follower of this.#followers) follower.#repeatFromPrimary(message);
    }
    return reply;
  }

  #waitForReplacement(lost: Session, { record, signal }: Call): Promise<Session> {
    const replaced = this.#sessions.waitForReplacement(lost, signal, record?.span);
    return addWait(record, 'sessionMs', this.#deps.clock, replaced);
  }

  /** Repeats a message of the client's own session here. */
  #repeatFromPrimary(message: Message): void {
    const { opening, session } = this.#sessions;
    if (!opening || session.lost || !isProfileWide(message)) return;
    void this.#opener.repeat(session, opening, message);
    this.#repeatToOthers(message);
  }

  /** Repeats session-wide messages to the other sessions of the pool. */
  #repeatToOthers(message: Message): void {
    const { pool, opening } = this.#sessions;
    if (!pool || !opening || !isSessionWide(message)) return;
    for (const session of pool.others) {
      void pool.withHold(session, () => this.#opener.repeat(session, opening, message));
    }
  }

  /** Describes the open sessions. */
  describe(): readonly Omit<SessionState, 'client'>[] {
    return this.#sessions.describe();
  }

  /** Deletes the sessions and aborts openings. Never throws. */
  close(): Promise<void> {
    // A session that the server opens a moment later would be orphaned.
    const pending =
      this.#initializing.size > 0
        ? settleWithin(this.#deps.clock, LATE_ANSWER_MS, Promise.allSettled(this.#initializing))
        : undefined;
    return this.#sessions.close(pending);
  }

  /** The client has left: calls that wait for a session are refused, others go on. */
  refuseWaiting(): void {
    this.#sessions.refuseWaiting();
  }

  /** Replaces every session; one in use is closed after its last call. */
  drain(): void {
    this.#sessions.drain();
  }
}

/** Calls that start a task stay on the primary session, where later task requests go. */
const isPooledCall = (request: Request): boolean =>
  request.method === 'tools/call' && !isObject(paramsOf(request).task);

/** A closed pool refuses waiting calls, whatever the reason. */
const isShuttingDown = (error: unknown): boolean =>
  error instanceof ProxyError && error.reason === 'shutting-down';

/** Ids differ, because the client's `initialize` is sent later under its own. */
const hasSameParams = (one: Request, other: Request): boolean =>
  valueTextAt(one.text, ['params']) === valueTextAt(other.text, ['params']);
