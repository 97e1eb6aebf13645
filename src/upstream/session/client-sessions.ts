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
import { noPlace } from '../../pool/errors.ts';
import type { PoolLimits } from '../../pool/maintenance.ts';
import type { SessionQuota } from '../../pool/session-quota.ts';
import { isLost } from '../transport/lost-session.ts';
import { ClientState, concernsAll, concernsProfiles } from './client-state.ts';
import { detectDuplicates, type IsDuplicate } from './dedupe-notifications.ts';
import { notOpened, recalling } from './errors.ts';
import { LATE_ANSWER_MS, Opener, type OpenLimit, type SessionOpening } from './opener.ts';
import { Resends } from './resends.ts';
import type { Session } from './session.ts';
import { SessionManager } from './session-manager.ts';

export interface ClientSessionsDeps {
  readonly profile: string;
  readonly newSession: (emit: Emit, isEcho: IsDuplicate | undefined) => Session;
  /** What a call waits for before it is sent once more. */
  readonly again?: ((call: Call) => Promise<void>) | undefined;
  /** Another session has taken the place of the one before. */
  readonly replaced: () => void;
  /** Stand around every initialize, the client's and our own: repeats, and the breaker. */
  readonly opening: readonly Layer[];
  readonly clock: Clock;
  readonly events: Events;
  /** Undefined: one session carries everything. */
  readonly limits: PoolLimits | undefined;
  /** Of all conversations. */
  readonly places: SessionQuota;
  /** Longest wait of a call for a session that is being opened. */
  readonly openLimit?: OpenLimit | undefined;
  /**
   * What the same client has with the profile whose session it opens itself; undefined where this
   * is that.
   */
  readonly lead?: ClientSessions | undefined;
}

/**
 * What one client has with one profile's server, across the sessions that carry it: a session that
 * the server has lost is opened anew without the client noticing, once for all calls that failed
 * with it, and they are sent once more. Of a profile that the client did not open itself, the first
 * session is opened the same way, when a call needs it, as the client opened its own.
 */
export class ClientSessions {
  readonly #deps: ClientSessionsDeps;
  readonly #told = new ClientState();
  readonly #opener: Opener;
  readonly #sessions: SessionManager;
  /** The client's own initialize, while it is under way. */
  readonly #initializing = new Set<Promise<Reply>>();
  /** What the client believes that its session was opened with, until it is. */
  #foretold: SessionOpening | undefined;
  /** How the client had opened its own session, when the one here was opened. */
  #followed: SessionOpening | undefined;
  /** What the client has with its other profiles. */
  readonly #followers: ClientSessions[] = [];

  constructor(deps: ClientSessionsDeps, emit: Emit) {
    const { profile, newSession, opening, replaced, clock, events, limits, places, openLimit, lead } = deps;
    this.#deps = deps;
    const told = (): readonly Request[] => (lead ? lead.#told.toProfiles : this.#told.requests);
    this.#opener = new Opener({ profile, newSession, layers: opening, clock, limit: openLimit, told });
    if (lead) lead.#followers.push(this);
    this.#sessions = new SessionManager(
      {
        profile,
        follows: lead !== undefined,
        opener: this.#opener,
        replaced,
        clock,
        events,
        limits,
        places,
        openLimit,
      },
      newSession(emit, undefined),
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
  sessionOf(id: Id): Session {
    return this.#sessions.sessionOf(id);
  }

  /**
   * The client's own initialize, answered from an earlier session: its own is opened later, those
   * of other profiles need not wait.
   */
  foretell({ client, emit }: Call, request: Request, version: string): void {
    const { clock, limits } = this.#deps;
    this.#foretold = { client, request, emit, isEcho: limits && detectDuplicates(clock), version };
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
    const { clock, limits, places } = this.#deps;
    // Who opens a session again leaves one, which is closed as soon as the new one stands.
    const more = this.#sessions.opening === undefined;
    if (more && !places.takeNow()) throw noPlace(places.max, places.taken);
    const foretold =
      this.#foretold && saysTheSame(this.#foretold.request, request) ? this.#foretold : undefined;
    const isEcho = foretold ? foretold.isEcho : limits && detectDuplicates(clock);
    const session = this.#deps.newSession(call.emit, isEcho);
    let opened = false;
    try {
      const reply = await this.#opener.initialize(session, call, request);
      opened = reply.kind === 'answer' && reply.message.outcome === 'result';
      if (!opened) return reply;
      const { client, emit } = call;
      this.#sessions.abandon();
      this.#told.forget();
      const { version } = session;
      // As foretold, it is no new beginning: what other profiles have opened meanwhile stays.
      const opening =
        foretold && foretold.version === version ? foretold : { client, request, emit, isEcho, version };
      this.#foretold = undefined;
      this.#sessions.begin(session, opening, more);
      return reply;
    } finally {
      if (more && !opened) places.give();
    }
  }

  /**
   * How the client has opened its own session since the one here was opened, or where there is none
   * here yet.
   */
  #behind(): SessionOpening | undefined {
    const { lead } = this.#deps;
    const opening = lead && (lead.#foretold ?? lead.#sessions.opening);
    return opening === this.#followed ? undefined : opening;
  }

  /**
   * Opens the session of another profile than the client's own: one attempt for all who need it
   * while it runs.
   */
  async #follow(signal: AbortSignal): Promise<void> {
    for (let behind = this.#behind(); behind; behind = this.#behind()) {
      const own = behind;
      await this.#sessions
        .opened((until) => this.#openBeside(own, until), signal)
        .catch((error: unknown) => {
          const overdue = !signal.aborted && error instanceof ProxyError && error.reason === 'timeout';
          throw overdue ? notOpened(this.#deps.profile, error) : error;
        });
    }
  }

  async #openBeside(own: SessionOpening, until: AbortSignal): Promise<Session> {
    const { clock, limits, places, profile } = this.#deps;
    const more = this.#sessions.opening === undefined;
    if (more && !places.takeNow()) throw noPlace(places.max, places.taken);
    // The sessions of one profile tell the same things; those of another tell others.
    const opening = { ...own, isEcho: limits && detectDuplicates(clock) };
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
      if (more) places.give();
      this.#sessions.openFailed(error);
      throw notOpened(profile, error);
    }
  }

  /**
   * Runs `send` on the session of this moment, and on a new one where the server has lost that, as
   * long as time remains.
   */
  carry(call: Call, send: (session: Session) => Promise<Reply>): Promise<Reply> {
    const { again } = this.#deps;
    let sent = false;
    return this.#carry(call, (session) => {
      if (sent && again && call.message.kind === 'request') return again(call).then(() => send(session));
      sent = true;
      return send(session);
    });
  }

  async #carry(call: Call, sendOn: (session: Session) => Promise<Reply>): Promise<Reply> {
    if (this.#behind()) await this.#follow(call.signal);
    const { spread } = this.#sessions;
    const { message } = call;
    if (spread && message.kind === 'request' && isSpread(message)) {
      try {
        return await spread.carry(call, sendOn);
      } catch (error) {
        // It waited for one of the sessions that were left when the client began anew: there are
        // others now.
        const left = this.#sessions.spread !== spread && !this.#sessions.closing && !call.signal.aborted;
        if (left && isEnding(error)) return this.#carry(call, sendOn);
        throw error;
      }
    }
    const send = spread ? (on: Session) => spread.holding(on, () => sendOn(on)) : sendOn;
    let { session } = this.#sessions;
    // Also where the last try to open a new one failed: the next call may find a server that has
    // come back.
    if (this.#sessions.isBroken) session = await this.#sessions.reopened(session, call.signal);
    let reply: Reply | undefined;
    for (let resends: Resends | undefined; !reply; ) {
      try {
        reply = await send(session);
      } catch (error) {
        if (!isLost(error)) throw error;
        // A client that never initializes has no session, but the platform may have routed it to a
        // backend that is gone.
        const { opening } = this.#sessions;
        if (!opening && !session.dropAffinity()) throw error;
        resends ??= new Resends(this.#deps.clock, call);
        await resends.after(error);
        if (!opening) continue;
        session = await this.#sessions.reopened(session, call.signal).catch((failure: unknown) => {
          throw recalling(error, failure);
        });
        // A new session has been told that it is initialized.
        if (message.kind === 'notification' && message.method === 'notifications/initialized') {
          return { kind: 'accepted' };
        }
      }
    }
    if (reply.kind === 'answer' && reply.message.outcome === 'result') this.#told.remember(message);
    if (reply.kind !== 'answer' || reply.message.outcome === 'result') {
      this.#tellOthers(message);
      for (const follower of this.#followers) follower.#hear(message);
    }
    return reply;
  }

  /** What the client has said to the session that it opened itself. */
  #hear(message: Message): void {
    const { opening, session } = this.#sessions;
    if (!opening || session.lost || !concernsProfiles(message)) return;
    void this.#opener.repeat(session, opening, message);
    this.#tellOthers(message);
  }

  /** What concerns every session goes to those beside the first, too. */
  #tellOthers(message: Message): void {
    const { spread, opening } = this.#sessions;
    if (!spread || !opening || !concernsAll(message)) return;
    for (const session of spread.others) {
      void spread.holding(session, () => this.#opener.repeat(session, opening, message));
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
const isSpread = (request: Request): boolean =>
  request.method === 'tools/call' && !isObject(paramsOf(request).task);

/** A pool that is closed refuses who waits, whyever it is closed. */
const isEnding = (error: unknown): boolean => error instanceof ProxyError && error.reason === 'shutting-down';

/** Under another id, which the client's own initialize has when it is sent later. */
const saysTheSame = (one: Request, other: Request): boolean =>
  valueTextAt(one.text, ['params']) === valueTextAt(other.text, ['params']);
