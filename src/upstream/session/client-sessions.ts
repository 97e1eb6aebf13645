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
import type { Events } from '../../core/pipeline/events.ts';
import { type Clock, settleWithin } from '../../core/time/clock.ts';
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
  /** What a call waits for before it is sent once more. */
  readonly beforeResend?: ((call: Call) => Promise<void>) | undefined;
  /** Another session has taken the place of the one before. */
  readonly onReplaced: () => void;
  /** Stand around every initialize, the client's and our own: repeats, and the breaker. */
  readonly openingLayers: readonly Layer[];
  readonly clock: Clock;
  readonly events: Events;
  /** Undefined: one session carries everything. */
  readonly limits: PoolLimits | undefined;
  /** Of all conversations. */
  readonly quota: SessionQuota;
  /** Longest wait of a call for a session that is being opened. */
  readonly openLimit?: OpenLimit | undefined;
  /**
   * What the same client has with the profile whose session it opens itself; undefined where this
   * is that.
   */
  readonly primary?: ClientSessions | undefined;
}

/**
 * What one client has with one profile's server, across the sessions that carry it: a session that
 * the server has lost is opened anew without the client noticing, once for all calls that failed
 * with it, and they are sent once more. Of a profile that the client did not open itself, the first
 * session is opened the same way, when a call needs it, as the client opened its own.
 */
export class ClientSessions {
  readonly #deps: ClientSessionsDeps;
  readonly #clientState = new ClientState();
  readonly #opener: Opener;
  readonly #sessions: SessionManager;
  /** The client's own initialize, while it is under way. */
  readonly #initializing = new Set<Promise<Reply>>();
  /** What the client believes that its session was opened with, until it is. */
  #deferred: SessionOpening | undefined;
  /** How the client had opened its own session, when the one here was opened. */
  #followed: SessionOpening | undefined;
  /** What the client has with its other profiles. */
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

  /** The session of this moment. */
  get session(): Session {
    return this.#sessions.session;
  }

  /**
   * The session that a request is under way on: the one of this moment, or one that was lost while
   * it answered.
   */
  sessionFor(id: Id): Session {
    return this.#sessions.sessionFor(id);
  }

  /**
   * The client's own initialize, answered from an earlier session: its own is opened later, those
   * of other profiles need not wait.
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
   * The client's own initialize: opens the session, and leaves the former one if there was one.
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
    // Who opens a session again leaves one, which is closed as soon as the new one stands.
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
      // As foretold, it is no new beginning: what other profiles have opened meanwhile stays.
      const opening =
        deferred && deferred.version === version ? deferred : { client, request, emit, isDuplicate, version };
      this.#deferred = undefined;
      this.#sessions.begin(session, opening, more);
      return reply;
    } finally {
      if (more && !opened) quota.release();
    }
  }

  /**
   * How the client has opened its own session since the one here was opened, or where there is none
   * here yet.
   */
  #newerOpening(): SessionOpening | undefined {
    const { primary } = this.#deps;
    const opening = primary && (primary.#deferred ?? primary.#sessions.opening);
    return opening === this.#followed ? undefined : opening;
  }

  /**
   * Opens the session of another profile than the client's own: one attempt for all who need it
   * while it runs.
   */
  async #followPrimary(signal: AbortSignal): Promise<void> {
    for (let newer = this.#newerOpening(); newer; newer = this.#newerOpening()) {
      const own = newer;
      await this.#sessions
        .waitForOpening((until) => this.#openFollower(own, until), signal)
        .catch((error: unknown) => {
          const overdue = !signal.aborted && error instanceof ProxyError && error.reason === 'timeout';
          throw overdue ? notOpened(this.#deps.profile, error) : error;
        });
    }
  }

  async #openFollower(own: SessionOpening, until: AbortSignal): Promise<Session> {
    const { clock, limits, quota, profile } = this.#deps;
    const more = this.#sessions.opening === undefined;
    if (more && !quota.tryAcquire()) throw quotaExceeded(quota.max, quota.used);
    // The sessions of one profile tell the same things; those of another tell others.
    const opening = { ...own, isDuplicate: limits && createDuplicateDetector(clock) };
    try {
      const session = await this.#opener.open(opening, until);
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
   * Runs `send` on the session of this moment, and on a new one where the server has lost that, as
   * long as time remains.
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
    if (this.#newerOpening()) await this.#followPrimary(call.signal);
    const { pool } = this.#sessions;
    const { message } = call;
    if (pool && message.kind === 'request' && isPooledCall(message)) {
      try {
        return await pool.sendCall(call, sendOn);
      } catch (error) {
        // It waited for one of the sessions that were left when the client began anew: there are
        // others now.
        const left = this.#sessions.pool !== pool && !this.#sessions.closing && !call.signal.aborted;
        if (left && isShuttingDown(error)) return this.#sendCall(call, sendOn);
        throw error;
      }
    }
    const send = pool ? (on: Session) => pool.withHold(on, () => sendOn(on)) : sendOn;
    let { session } = this.#sessions;
    // Also where the last try to open a new one failed: the next call may find a server that has
    // come back.
    if (this.#sessions.isBroken) session = await this.#sessions.waitForReplacement(session, call.signal);
    let reply: Reply | undefined;
    for (let resends: Resends | undefined; !reply; ) {
      try {
        reply = await send(session);
      } catch (error) {
        if (!isSessionLost(error)) throw error;
        // A client that never initializes has no session, but the platform may have routed it to a
        // backend that is gone.
        const { opening } = this.#sessions;
        if (!opening && !session.dropAffinity()) throw error;
        resends ??= new Resends(this.#deps.clock, call);
        await resends.waitAfter(error);
        if (!opening) continue;
        session = await this.#sessions.waitForReplacement(session, call.signal).catch((failure: unknown) => {
          throw withLossMessage(error, failure);
        });
        // A new session has been told that it is initialized.
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

  /** What the client has said to the session that it opened itself. */
  #repeatFromPrimary(message: Message): void {
    const { opening, session } = this.#sessions;
    if (!opening || session.lost || !isProfileWide(message)) return;
    void this.#opener.repeat(session, opening, message);
    this.#repeatToOthers(message);
  }

  /** What concerns every session goes to those beside the first, too. */
  #repeatToOthers(message: Message): void {
    const { pool, opening } = this.#sessions;
    if (!pool || !opening || !isSessionWide(message)) return;
    for (const session of pool.others) {
      void pool.withHold(session, () => this.#opener.repeat(session, opening, message));
    }
  }

  /** Deletes the sessions; one that is being opened is given up. Never throws. */
  close(): Promise<void> {
    // Nobody would know of the session that a server opens a moment later.
    const pending =
      this.#initializing.size > 0
        ? settleWithin(this.#deps.clock, LATE_ANSWER_MS, Promise.allSettled(this.#initializing))
        : undefined;
    return this.#sessions.close(pending);
  }

  /** The client has left: calls that wait for a session are refused; those under way go on. */
  refuseWaiting(): void {
    this.#sessions.refuseWaiting();
  }

  /**
   * Replaces every session with a new one; each that is in use is left when the last call on it has
   * ended.
   */
  drain(): void {
    this.#sessions.drain();
  }
}

/** Not one that starts a task: what is asked about that later goes to the first session. */
const isPooledCall = (request: Request): boolean =>
  request.method === 'tools/call' && !isObject(paramsOf(request).task);

/** A pool that is closed refuses who waits, whyever it is closed. */
const isShuttingDown = (error: unknown): boolean =>
  error instanceof ProxyError && error.reason === 'shutting-down';

/** Under another id, which the client's own initialize has when it is sent later. */
const hasSameParams = (one: Request, other: Request): boolean =>
  valueTextAt(one.text, ['params']) === valueTextAt(other.text, ['params']);
