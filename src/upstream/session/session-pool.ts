import { ProxyError } from '../../core/errors/errors.ts';
import { type Id, isObject, type JsonObject } from '../../core/jsonrpc/message.ts';
import type { Call, Reply } from '../../core/pipeline/call.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { Probed } from '../../pool/health.ts';
import type { PoolLimits } from '../../pool/maintenance.ts';
import type { Ended, Replacement } from '../../pool/members.ts';
import { Pool } from '../../pool/pool.ts';
import type { SessionQuota } from '../../pool/session-quota.ts';
import { isLost } from '../transport/lost-session.ts';
import { Resends } from './resends.ts';
import type { Session } from './session.ts';

export interface SessionPoolDeps {
  readonly limits: PoolLimits;
  /** Of all conversations; the first session has one. */
  readonly places: SessionQuota;
  readonly clock: Clock;
  /**
   * Opens a session as the client opened its own, and tells it what that was told. `met` before
   * anything is told.
   */
  readonly open: (signal: AbortSignal, met: (session: Session) => void) => Promise<Session>;
  /** Asks a session, and gives the whole answer. */
  readonly ask: (session: Session, method: string, signal: AbortSignal) => Promise<JsonObject>;
  readonly first: () => Session;
  /** The first session is no more, and this one takes over what only one session does. */
  readonly succeeded: (session: Session) => void;
  /** The server has lost the first session. */
  readonly lostFirst: () => void;
  readonly openFailed: (error: unknown) => void;
}

const METHOD_NOT_FOUND = -32601;

const brokeInTransport = (error: unknown): boolean =>
  error instanceof ProxyError && (error.reason === 'connection-lost' || error.reason === 'connect-failed');

/**
 * One more session than --max-sessions, and only for the moment in which one takes the place of
 * another.
 */
const REPLACEMENT_OVERLAP = 1;

/**
 * The sessions of one conversation, where tool calls are spread over several: the client's first,
 * and those beside it.
 */
export class SessionPool {
  readonly #deps: SessionPoolDeps;
  readonly #pool: Pool<Session>;
  /** All that are open, the first included. */
  readonly #open = new Set<Session>();
  #vacant = false;

  constructor(deps: SessionPoolDeps, first: Session) {
    const { limits, places, clock, openFailed } = deps;
    this.#deps = deps;
    this.#pool = new Pool<Session>({
      limits,
      places,
      clock,
      overlap: REPLACEMENT_OVERLAP,
      openFailed,
      open: (signal) => this.#another(signal),
      close: (session) => this.#close(session),
      probe: (session, method, signal) => this.#probe(session, method, signal),
    });
    this.#open.add(first);
    this.#pool.adopt(first);
  }

  /** True while no session is the first: it has been closed, and its successor is not there yet. */
  get vacant(): boolean {
    return this.#vacant;
  }

  /** The session that a request is under way on. */
  carrierOf(id: Id): Session | undefined {
    return [...this.#open].find((session) => session.carries(id));
  }

  get others(): readonly Session[] {
    const first = this.#deps.first();
    return [...this.#open].filter((session) => session !== first && !session.lost);
  }

  /**
   * Runs a tool call on a session with room. One that is turned away by a session that is gone goes
   * to the next.
   */
  async carry(call: Call, send: (session: Session) => Promise<Reply>): Promise<Reply> {
    const { clock } = this.#deps;
    let since = clock.monotonic();
    for (let resends: Resends | undefined; ; ) {
      const lease = await this.#pool.lease(call.signal);
      const session = lease.item;
      let ended: Ended = 'ok';
      let loss: unknown;
      try {
        return await send(session);
      } catch (error) {
        loss = error;
        const first = session === this.#deps.first();
        if (!isLost(error)) {
          // The first has more to it than calls: whether it is gone, the server has to say.
          if (!first && brokeInTransport(error)) ended = 'broken';
          throw error;
        }
        if (first) this.#deps.lostFirst();
        else {
          // Another identity's is left when what is under way there has ended.
          if (!session.foreign) session.forsake();
          ended = 'broken';
        }
      } finally {
        lease.release(ended);
      }
      // Any number of old sessions may be gone at once; new ones that are lost cost a wait.
      if (lease.openedAt >= since) {
        resends ??= new Resends(clock, call);
        await resends.after(loss);
      }
      since = clock.monotonic();
    }
  }

  /** For what is no tool call: its session is not closed under it. */
  async holding<R>(session: Session, work: () => Promise<R>): Promise<R> {
    const release = this.#pool.hold(session);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /**
   * The first session is lost, and is being opened anew. Undefined where it was given up before.
   * @param abandon - called when no tool call waits for the new one any more.
   */
  replacing(dead: Session, abandon: () => void): Replacement<Session> | undefined {
    const replacement = this.#pool.replacing(dead, abandon);
    if (!replacement) return undefined;
    return {
      with: (fresh) => {
        this.#open.delete(dead);
        this.#open.add(fresh);
        replacement.with(fresh);
      },
      failed: (error) => {
        this.#open.delete(dead);
        replacement.failed(error);
      },
      abandoned: () => {
        this.#open.delete(dead);
        replacement.abandoned();
      },
    };
  }

  /** A session to be the first from now on: one that is open, or the next that is. */
  async successor(signal: AbortSignal): Promise<Session> {
    const [session] = this.#pool.items;
    if (session) {
      this.#vacant = false;
      return session;
    }
    const { item, release } = await this.#pool.lease(signal);
    release('ok');
    this.#vacant = false;
    return item;
  }

  refuseWaiting(): void {
    this.#pool.refuseWaiting();
  }

  drain(): void {
    this.#pool.drain();
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  async #another(signal: AbortSignal): Promise<Session> {
    let met: Session | undefined;
    try {
      const session = await this.#deps.open(signal, (opened) => {
        met = opened;
        this.#open.add(opened);
      });
      session.onLost = () => {
        // The next call finds out, and leaves it.
        if (session.foreign) return;
        session.forsake();
        this.#pool.discard(session);
      };
      if (this.#vacant) this.#succeed(session);
      return session;
    } catch (error) {
      if (met) this.#open.delete(met);
      throw error;
    }
  }

  #succeed(session: Session): void {
    this.#vacant = false;
    this.#deps.succeeded(session);
  }

  async #close(session: Session): Promise<void> {
    if (session === this.#deps.first()) {
      const [next] = this.#pool.items;
      if (next) this.#succeed(next);
      else this.#vacant = true;
    }
    try {
      await session.close();
    } finally {
      this.#open.delete(session);
    }
  }

  async #probe(session: Session, method: string, signal: AbortSignal): Promise<Probed> {
    try {
      const { error } = await this.#deps.ask(session, method, signal);
      if (!isObject(error)) return 'answered';
      if (error.code === METHOD_NOT_FOUND) return 'unknown-method';
    } catch (error) {
      if (isLost(error)) {
        if (session === this.#deps.first()) this.#deps.lostFirst();
        else if (!session.foreign) session.forsake();
      }
      throw error;
    }
    throw new Error(`the server answered ${method} with an error`);
  }
}
