import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { type Id, isObject, METHOD_NOT_FOUND, type Message, paramsOf } from '../../core/jsonrpc/message.ts';
import { type Call, type Reply, spanOfCall } from '../../core/pipeline/call.ts';
import { addWait } from '../../core/pipeline/call-record.ts';
import type { SessionCloseReason, SessionOpenReason } from '../../core/pipeline/events.ts';
import type { SessionState } from '../../core/pipeline/proxy-state.ts';
import type { Span, SpanPart } from '../../core/pipeline/span.ts';
import { endWith } from '../../core/pipeline/span-outcome.ts';
import { listChanges } from '../../core/tools/list-changes.ts';
import type { ProbeResult } from '../../pool/health.ts';
import type { PoolLimits } from '../../pool/maintenance.ts';
import type { PoolMember } from '../../pool/member.ts';
import type { LeaseOutcome, SessionLease } from '../../pool/members.ts';
import { Pool } from '../../pool/pool.ts';
import type { SessionQuota } from '../../pool/session-quota.ts';
import { isSessionLost } from '../transport/lost-session.ts';
import { isSessionWide } from './client-state.ts';
import { notOpened, notReopened, withLossMessage } from './errors.ts';
import { OPEN_LIMIT, type Opener, type OpenLimit, openTimeout, type SessionOpening } from './opener.ts';
import type { Resends } from './resends.ts';
import type { Session, SessionDeps } from './session.ts';

/** The parts that all pools of one client and profile share. */
export interface ClientSessionPoolDeps {
  readonly session: SessionDeps;
  /** Called when the primary session was replaced. */
  readonly onReplaced: () => void;
  readonly limits: PoolLimits;
  /** Shared by all clients. */
  readonly quota: SessionQuota;
  /** Longest wait of a call for a session that is being opened. */
  readonly openLimit?: OpenLimit | undefined;
}

export interface ClientSessionPoolOptions {
  readonly opener: Opener;
  readonly opening: SessionOpening;
  /** True for a profile whose sessions the client did not open itself: errors name the profile. */
  readonly follows: boolean;
  /** True where the pool is to replace one that has sessions. */
  readonly replaces: boolean;
  readonly owner: PoolOwner;
}

/** The sessions of the client, whose pool may be replaced while a call is in flight. */
export interface PoolOwner {
  /** Called with the reply to a call that the server has accepted. */
  onAccepted(call: Call, reply: Reply): void;
  /** Counts the attempts of a call, of which only few need more than one. */
  resendsOf(call: Call): Resends;
  /**
   * Sends a call that this pool has failed on the pool that has replaced it.
   * @throws the error where no other pool is there.
   */
  sendElsewhere(
    pool: ClientSessionPool,
    call: Call,
    send: SendCall,
    resends: Resends | undefined,
    error: unknown,
  ): Promise<Reply>;
}

export type SendCall = (session: Session, call: Call) => Promise<Reply>;

type LeaseEvent =
  | { readonly type: 'session.borrowed'; readonly waitMs: number }
  | { readonly type: 'session.returned'; readonly broken: boolean };

/** One session beyond --max-sessions, only while one replaces another. */
const MAX_REPLACEMENT_OVERLAP = 1;

/**
 * The sessions of one `initialize` and profile: by default one. Tool calls are spread where a
 * session carries a limited number; the primary session carries the rest.
 */
export class ClientSessionPool {
  readonly #deps: ClientSessionPoolDeps;
  readonly #opener: Opener;
  readonly #pool: Pool<Session>;
  readonly #owner: PoolOwner;
  #opening: SessionOpening;
  /** The primary session; while the pool has no primary, the last one. */
  #session: Session | undefined;
  /** All sessions that have not been closed or lost, those that replay included. */
  readonly #open = new Set<Session>();
  /** Lost sessions on which requests are still in flight. */
  readonly #lost = new Set<Session>();
  /** Its sessions are closed when the first of this pool is open. */
  #former: ClientSessionPool | undefined;
  /** The span of the call for which the pool begins an opening. */
  #openingSpan: Span | undefined;
  #closing = false;

  constructor(
    deps: ClientSessionPoolDeps,
    { opener, opening, follows, replaces, owner }: ClientSessionPoolOptions,
  ) {
    const { limits, quota, session, openLimit = OPEN_LIMIT } = deps;
    const { clock, events } = session;
    const { profile } = session.transport;
    this.#deps = deps;
    this.#opener = opener;
    this.#opening = opening;
    this.#owner = owner;
    this.#pool = new Pool<Session>({
      limits,
      quota,
      clock,
      overlap: limits.keepsOpen ? MAX_REPLACEMENT_OVERLAP : Number.POSITIVE_INFINITY,
      replaces,
      open: (signal, reason) => this.#openSession(signal, reason),
      close: (item, reason) => this.#close(item, reason),
      probe: (item, method, signal) => this.#probe(item, method, signal),
      onChecked: ({ label }, healthy, failure) => {
        const error = failure === undefined ? undefined : causeText(failure);
        events.emit({ type: 'session.checked', profile, session: label, healthy, error });
      },
      onPrimary: (item) => this.#setPrimary(item),
      onOpenFailed: (error) =>
        events.emit({ type: 'session.open-failed', profile, message: causeText(error) }),
      refusal: (failure = openTimeout(openLimit)) =>
        this.#pool.adopted
          ? notReopened(failure, follows ? profile : undefined)
          : notOpened(profile, failure),
    });
  }

  get opening(): SessionOpening {
    return this.#opening;
  }

  /** True where it has a session to close, or will replace a pool that has. */
  get hasSessions(): boolean {
    return this.#session !== undefined || this.#former !== undefined;
  }

  /** The primary session, or the last one; undefined before the first. */
  get session(): Session | undefined {
    return this.#session;
  }

  /** The session that carries a request. */
  findByRequest(id: Id): Session | undefined {
    const carries = (session: Session): boolean => session.carries(id);
    return [...this.#lost].find(carries) ?? [...this.#open].find(carries) ?? this.#former?.findByRequest(id);
  }

  /** Takes the place of another pool, whose sessions are closed when one of this pool is open. */
  replace(former: ClientSessionPool | undefined): void {
    this.#former = former;
    if (former && !former.#session) {
      this.#former = former.#former;
      former.#former = undefined;
      void former.close();
    }
    if (this.#session) this.#closeFormer();
  }

  #closeFormer(): void {
    const former = this.#former;
    if (!former) return;
    this.#former = undefined;
    this.#deps.onReplaced();
    void former.close();
  }

  /** Opens the first session with the client's own `initialize`. @throws ProxyError no-session */
  async openFirst(session: Session, initialize: () => Promise<Reply>): Promise<Reply> {
    this.#pool.reserveFirst();
    try {
      const reply = await initialize();
      if (reply.kind === 'answer' && reply.message.outcome === 'result') {
        this.#opening = { ...this.#opening, version: session.version };
        this.#open.add(session);
        session.onLost = () => this.#lose(session);
        this.#pool.adopt(session);
      }
      return reply;
    } finally {
      this.#pool.releaseFirst();
    }
  }

  /**
   * Sends the call in a session, and in another one where the server has lost it. Not async, as all
   * that waits for the answer: thousands of calls may wait.
   * @param before - the attempts on another pool, where there were any.
   */
  sendCall(call: Call, send: SendCall, before?: Resends): Promise<Reply> {
    const { limits } = this.#deps;
    const isSpread = Number.isFinite(limits.callsPerItem) && isSpreadCall(call);
    try {
      const primary = isSpread || before ? undefined : this.#pool.usePrimary();
      if (primary) return this.#sendFirst(call, send, primary);
    } catch (error) {
      return this.#owner.sendElsewhere(this, call, send, before, error);
    }
    const resends = before ?? this.#owner.resendsOf(call);
    return this.#sendUntilKept(call, send, resends, { isSpread, loss: undefined }).catch((error: unknown) =>
      this.#owner.sendElsewhere(this, call, send, resends, error),
    );
  }

  /** The first attempt, on the primary session. */
  #sendFirst(call: Call, send: SendCall, primary: PoolMember<Session>): Promise<Reply> {
    let sent: Promise<Reply>;
    try {
      sent = send(primary.item, call);
    } catch (error) {
      sent = Promise.reject(error);
    }
    return sent.then(
      (reply) => {
        this.#answered(call, primary.item, reply);
        this.#pool.endUse(primary);
        return reply;
      },
      (error: unknown) => {
        const isLost = isSessionLost(error);
        if (isLost) this.#tracing(call, () => this.#lose(primary.item, { byCaller: true }));
        this.#pool.endUse(primary);
        const resends = this.#owner.resendsOf(call);
        resends.markSent();
        return isLost
          ? this.#sendAfter(error, call, send, resends)
          : this.#owner.sendElsewhere(this, call, send, resends, error);
      },
    );
  }

  async #sendAfter(loss: unknown, call: Call, send: SendCall, resends: Resends): Promise<Reply> {
    try {
      await resends.waitAfter(loss);
      return await this.#sendUntilKept(call, send, resends, { isSpread: false, loss });
    } catch (error) {
      return this.#owner.sendElsewhere(this, call, send, resends, error);
    }
  }

  #answered(call: Call, session: Session, reply: Reply): void {
    if (reply.kind === 'answer' && reply.message.outcome !== 'result') return;
    this.repeat(call.message, session);
    this.#owner.onAccepted(call, reply);
  }

  /** Sends the call on one session after the other, until one is not lost. */
  async #sendUntilKept(
    call: Call,
    send: SendCall,
    resends: Resends,
    { isSpread, loss }: { readonly isSpread: boolean; loss: unknown },
  ): Promise<Reply> {
    const { clock, events } = this.#deps.session;
    // Only a spread call compares it.
    let since = isSpread ? clock.monotonic() : 0;
    for (;;) {
      const isReported = isSpread && events.observesCalls;
      const asked = isReported ? clock.monotonic() : 0;
      const lease =
        (isSpread ? undefined : this.#pool.leasePrimary()) ?? (await this.#lease(call, isSpread, loss));
      const session = lease.item;
      if (isReported)
        this.#report(call, session, { type: 'session.borrowed', waitMs: clock.monotonic() - asked });
      let ended: LeaseOutcome = 'ok';
      try {
        // A new session has already received `initialized`.
        if (loss && isInitialized(call)) return { kind: 'accepted' };
        const turn = resends.beforeAttempt();
        if (turn) await turn;
        const reply = await send(session, call);
        this.#answered(call, session, reply);
        return reply;
      } catch (error) {
        if (!isSessionLost(error)) {
          // The primary carries more than calls, so only the server's word counts it as lost.
          if (isSpread && session !== this.#pool.primary && isTransportFailure(error)) ended = 'broken';
          throw error;
        }
        loss = error;
        this.#tracing(call, () => this.#lose(session, { byCaller: true }));
      } finally {
        lease.release(ended);
        if (isReported) this.#report(call, session, { type: 'session.returned', broken: ended === 'broken' });
      }
      // Any number of spread calls may meet an old session; only lost new ones cost a wait.
      if (!isSpread || lease.openedAt >= since) await resends.waitAfter(loss);
      since = clock.monotonic();
    }
  }

  async #lease(call: Call, isSpread: boolean, loss: unknown): Promise<SessionLease<Session>> {
    const { record, signal, profile } = call;
    const primary = (): Promise<SessionLease<Session>> =>
      this.#tracing(call, () => this.#pool.waitForPrimary(signal));
    const leased = async (): Promise<SessionLease<Session>> => {
      if (!isSpread) return primary();
      if (!this.#pool.adopted) (await primary()).release('ok');
      return endWith(spanOfCall(call)?.begin({ type: 'borrow', profile }), this.#pool.lease(signal));
    };
    try {
      return await addWait(record, 'sessionMs', this.#deps.session.clock, leased());
    } catch (error) {
      throw withLossMessage(loss, error);
    }
  }

  /** Runs a decision of the pool; an opening that it begins is a part of the call's span. */
  #tracing<R>(call: Call, decide: () => R): R {
    const span = spanOfCall(call);
    if (!span) return decide();
    this.#openingSpan = span;
    try {
      return decide();
    } finally {
      // The pool has scheduled the opening for the next microtask.
      queueMicrotask(() => {
        this.#openingSpan = undefined;
      });
    }
  }

  #report({ profile, record }: Call, { label }: Session, event: LeaseEvent): void {
    const { serving } = this.#pool;
    const active = serving.filter(({ uses }) => uses > 0).length;
    const counts = { active, idle: serving.length - active };
    this.#deps.session.events.emit({ ...event, profile, session: label, call: record?.number, ...counts });
  }

  describe(): readonly Omit<SessionState, 'client'>[] {
    const now = this.#deps.session.clock.monotonic();
    const seconds = (since: number): number => Math.round((now - since) / 10) / 100;
    return this.#pool.serving.map(({ item, uses, borrowed, openedAt, usedAt }) => ({
      session: item.label,
      state: uses > 0 ? 'active' : 'idle',
      ageS: seconds(openedAt),
      idleS: uses > 0 ? 0 : seconds(usedAt),
      borrowCount: borrowed,
      primary: item === this.#pool.primary,
    }));
  }

  /** Repeats a session-wide message on the sessions that have not carried it. */
  repeat(message: Message, carrier?: Session): void {
    if (!isSessionWide(message)) return;
    for (const session of this.#open) {
      if (session === carrier) continue;
      const release = this.#pool.hold(session);
      void this.#opener.repeat(session, this.#opening, message).finally(release);
    }
  }

  refuseWaiting(): void {
    this.#pool.refuseWaiting();
  }

  drain(): void {
    this.#pool.drain();
  }

  /** Keeps the sessions at the server when the pool is closed. */
  leaveOpen(): void {
    for (const session of [...this.#open, ...this.#lost]) session.leaveOpen();
    this.#former?.leaveOpen();
  }

  /** Deletes the sessions and aborts openings, which close what they open. Never throws. */
  async close(): Promise<void> {
    this.#closing = true;
    const lost = [...this.#lost].map((session) => session.close());
    await Promise.all([this.#pool.close(), this.#former?.close(), ...lost]);
  }

  async #openSession(signal: AbortSignal, reason: SessionOpenReason): Promise<Session> {
    let created: Session | undefined;
    try {
      // From the replay on, this session receives the client's messages too.
      const onCreated = (opened: Session): void => {
        created = opened;
        this.#open.add(opened);
      };
      const { events } = this.#deps.session;
      const parent = this.#openingSpan ?? { begin: (part: SpanPart) => events.beginTrace(part) };
      const session = await this.#opener.open(this.#opening, signal, onCreated, reason, parent);
      session.onLost = () => this.#lose(session);
      return session;
    } catch (error) {
      if (created) this.#open.delete(created);
      throw error;
    }
  }

  /** The new server may differ, so the client is notified of changed lists. */
  #setPrimary(session: Session): void {
    const last = this.#session;
    this.#session = session;
    if (!last) {
      this.#closeFormer();
      return;
    }
    this.#deps.onReplaced();
    for (const change of listChanges(last.initializeResult, session.initializeResult))
      void this.#opening.emit(change, session).catch(() => undefined);
  }

  #lose(session: Session, found = { byCaller: false }): void {
    if (!this.#open.delete(session)) return;
    const { events } = this.#deps.session;
    if (session === this.#pool.primary) events.emit({ type: 'session.lost', profile: session.profile });
    // Requests in flight on it go on; only its open server requests end.
    if (!session.foreign) session.markLost();
    this.#lost.add(session);
    void session.whenIdle().then(() => {
      this.#lost.delete(session);
      // Another principal's session still exists at the server.
      return session.close();
    });
    this.#pool.lose(session, found);
  }

  async #close(session: Session, reason: SessionCloseReason): Promise<void> {
    // The cancellation of a request may still be on its way to it.
    if (!this.#closing) await session.whenIdle();
    await session.close(reason);
    this.#open.delete(session);
  }

  async #probe(session: Session, method: string, signal: AbortSignal): Promise<ProbeResult> {
    try {
      const { error } = await this.#opener.request(session, this.#opening, method, signal);
      if (!isObject(error)) return 'answered';
      if (error.code === METHOD_NOT_FOUND) return 'unknown-method';
    } catch (error) {
      if (isSessionLost(error)) this.#lose(session);
      throw error;
    }
    throw new Error(`the server answered ${method} with an error`);
  }
}

/** Calls that start a task stay on the primary session, where later task requests go. */
const isSpreadCall = ({ message }: Call): boolean =>
  message.kind === 'request' && message.method === 'tools/call' && !isObject(paramsOf(message).task);

const isInitialized = ({ message }: Call): boolean =>
  message.kind === 'notification' && message.method === 'notifications/initialized';

const isTransportFailure = (error: unknown): boolean =>
  error instanceof ProxyError && (error.reason === 'connection-lost' || error.reason === 'connect-failed');
