import { ProxyError } from '../../core/errors/errors.ts';
import {
  INITIALIZED,
  type JsonObject,
  type Message,
  type Notification,
  paramsOf,
  type Request,
  withIdText,
} from '../../core/jsonrpc/message.ts';
import {
  type Call,
  type Handler,
  NO_DEADLINE,
  PermanentOrigin,
  type Reply,
} from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { resultOf, resultReply, resultText } from '../../core/pipeline/result.ts';
import { CallController } from '../../core/time/call-signal.ts';
import type { Clock } from '../../core/time/clock.ts';
import { SingleFlight } from '../../core/time/single-flight.ts';
import { withTimeout } from '../../core/time/waits.ts';
import { type ListName, listChanges } from '../../core/tools/list-changes.ts';
import { pageKey, type Snapshot, type SnapshotStore } from '../../core/tools/snapshot.ts';
import { revisionChanged, toOpenError } from './errors.ts';
import { revisionOf, SnapshotRecorder } from './snapshot-recorder.ts';
import { canonicalPages, readToolPages } from './tool-pages.ts';
import { placeholder, unavailability } from './unavailable.ts';

/** Default time limit for opening the session. */
const MAX_OPEN_MS = 60_000;

/**
 * How long an unwanted `initialize` may still be answered: cut off, its session would stay open at
 * the server under an unknown id.
 */
const LATE_ANSWER_MS = 500;

/**
 * Retry times for a session that failed at the start: after logging in, a person waits for the
 * tools.
 */
const MIN_RETRY_MS = 1_000;
const MAX_FAST_RETRY_MS = 15_000;
/** Ten minutes of fast retries. */
const MAX_FAST_RETRIES = 40;
const SLOW_RETRY_MS = 60_000;
/** About a day, in case the client is gone without notice. */
const MAX_RETRIES = 1_500;

export interface LazyDeps {
  readonly store: SnapshotStore;
  /** Host of the endpoint, for the text about a failed connection. */
  readonly host: string;
  readonly events: Events;
  /**
   * The profile of the client's own `initialize`; sessions of others open when a call names them.
   */
  readonly defaultProfile: string;
  readonly clock: Clock;
  /** Longest wait of a call for the session; default one minute. */
  readonly openLimitMs?: number | undefined;
}

/** These need no session, and a cancellation without one belongs to another profile. */
const NEEDS_NO_SESSION: ReadonlySet<string> = new Set([
  'initialize',
  'notifications/initialized',
  'notifications/cancelled',
]);

interface WaitingState {
  readonly kind: 'waiting';
  /** The client's `initialize`, which the session is opened with. */
  readonly initialize: Call & { readonly message: Request };
  readonly snapshot: Snapshot;
  /**
   * True where the start failed: the answer was made up, so any protocol version of the server will
   * do.
   */
  readonly isPlaceholder: boolean;
  initialized: Notification | undefined;
  readonly opening: SingleFlight<void>;
}

type LazyState =
  /** Messages pass to the server. */
  | { readonly kind: 'connected'; readonly seen: SnapshotRecorder | undefined }
  | WaitingState
  | { readonly kind: 'outdated'; readonly error: ProxyError };

/** The lazy start of one client. */
export class LazyClient {
  readonly #deps: LazyDeps;
  readonly #next: Handler;
  #state: LazyState = { kind: 'connected', seen: undefined };

  constructor(deps: LazyDeps, next: Handler) {
    this.#deps = deps;
    this.#next = next;
  }

  async handle(call: Call): Promise<Reply> {
    const { message } = call;
    if (message.kind === 'request' && message.method === 'initialize') return this.#start(call, message);
    const state = this.#state;
    if (state.kind === 'outdated') throw state.error;
    const known = state.kind === 'waiting' ? this.#answerLocally(message, state) : undefined;
    if (known) return known;
    const reply = await this.#next(call);
    if (message.kind === 'request' && message.method === 'tools/list' && this.#state.kind === 'connected') {
      this.#state.seen?.recordPage(message, reply);
    }
    return reply;
  }

  /**
   * Resolves when the session that the call needs is open. Sessions of other profiles are opened
   * further inside.
   */
  async ensureOpen(call: Call): Promise<void> {
    const { message, profile, signal } = call;
    const state = this.#state;
    if (state.kind !== 'waiting' || profile !== this.#deps.defaultProfile) return;
    if (message.kind !== 'response' && NEEDS_NO_SESSION.has(message.method)) return;
    await this.#waitForOpening(state, signal);
  }

  async #start(call: Call, request: Request): Promise<Reply> {
    const { store } = this.#deps;
    const connected = this.#state.kind === 'connected' && this.#state.seen !== undefined;
    // A client that begins anew over a living session wants a new one.
    const snapshot = connected ? undefined : await store.load(revisionOf(request));
    if (snapshot) return this.#answerFromSnapshot(call, request, snapshot, false);
    const outcome = await this.#next(call).then(
      (reply) => ({ reply }),
      (error: unknown) => ({ error }),
    );
    // A client that begins anew over a living session sees why it cannot.
    const why = connected ? undefined : unavailability(outcome);
    if (why !== undefined) {
      const { events, host } = this.#deps;
      events.emit({ type: 'session.open-failed', profile: call.profile, message: why });
      return this.#answerFromSnapshot(call, request, placeholder(request, host, why), true);
    }
    if ('error' in outcome) throw outcome.error;
    const opening = resultText(outcome.reply);
    if (opening !== undefined)
      this.#state = { kind: 'connected', seen: new SnapshotRecorder(store, request, opening) };
    return outcome.reply;
  }

  /** Answers without the server, which is contacted on first need. */
  async #answerFromSnapshot(
    call: Call,
    request: Request,
    snapshot: Snapshot,
    isPlaceholder: boolean,
  ): Promise<Reply> {
    const assumed: JsonObject = JSON.parse(snapshot.opening);
    // With its own signal, because the call may end first.
    const signal = new CallController().signal;
    await this.#next({
      ...call,
      signal,
      deadline: NO_DEADLINE,
      assumedVersion: String(assumed.protocolVersion),
    });
    const waiting: WaitingState = {
      kind: 'waiting',
      initialize: { ...call, message: request },
      snapshot,
      isPlaceholder,
      initialized: undefined,
      opening: new SingleFlight(),
    };
    this.#state = waiting;
    if (isPlaceholder) this.#retryLater(waiting, 0);
    return resultReply(request, snapshot.opening);
  }

  /** Retries by timer, because a client without tools makes no call. */
  #retryLater(waiting: WaitingState, retries: number): void {
    if (retries >= MAX_RETRIES) return;
    const soon = Math.min(MIN_RETRY_MS * 2 ** Math.min(retries, 10), MAX_FAST_RETRY_MS);
    const ms = retries < MAX_FAST_RETRIES ? soon : SLOW_RETRY_MS;
    const retry = (): void => {
      if (this.#state !== waiting) return;
      this.#waitForOpening(waiting, new CallController().signal).catch((error: unknown) => {
        const isOver = error instanceof ProxyError && error.reason === 'shutting-down';
        if (!isOver) this.#retryLater(waiting, retries + 1);
      });
    };
    this.#deps.clock.schedule(ms, retry, { keepAlive: false });
  }

  /** Answers what needs no server. */
  #answerLocally(message: Message, waiting: WaitingState): Reply | undefined {
    if (message.kind === 'notification') {
      if (message.method === 'notifications/initialized') {
        waiting.initialized = message;
        return { kind: 'accepted' };
      }
      // Without a session no server has requested the roots.
      const empty = message.method === 'notifications/roots/list_changed' && !waiting.opening.current;
      return empty ? { kind: 'accepted' } : undefined;
    }
    if (message.kind !== 'request') return undefined;
    // A ping asks about the proxy.
    if (message.method === 'ping') return resultReply(message, '{}');
    if (message.method !== 'tools/list') return undefined;
    const page = waiting.snapshot.pages[pageKey(paramsOf(message).cursor)];
    return page === undefined ? undefined : resultReply(message, page);
  }

  /**
   * One shared attempt for all calls that need the session. It ends with its last caller; the next
   * call tries again.
   */
  #waitForOpening(waiting: WaitingState, signal: AbortSignal): Promise<void> {
    return waiting.opening.run((shared) => this.#open(waiting, shared)).join(signal);
  }

  async #open(waiting: WaitingState, shared: AbortSignal): Promise<void> {
    const { clock, openLimitMs = MAX_OPEN_MS } = this.#deps;
    const controller = new CallController();
    const end = (): void => controller.abort(shared.reason);
    shared.addEventListener('abort', () => clock.schedule(LATE_ANSWER_MS, end, { keepAlive: false }), {
      once: true,
    });
    const { seen, opened } = await withTimeout(clock, openLimitMs, (limited) => {
      limited.addEventListener('abort', () => controller.abort(limited.reason), { once: true });
      return this.#connect(waiting, controller.signal);
    }).catch((error: unknown) => {
      throw toOpenError(error);
    });
    // The client has initialized again meanwhile.
    if (this.#state !== waiting) return;
    this.#state = { kind: 'connected', seen };
    // The calls that waited for the session are sent first.
    setImmediate(() => void this.#notifyChanges(waiting, seen, opened));
  }

  /** Performs the handshake that the client has already completed with the proxy. */
  async #connect(
    waiting: WaitingState,
    signal: AbortSignal,
  ): Promise<{ seen: SnapshotRecorder; opened: JsonObject }> {
    const { initialize, snapshot } = waiting;
    const send = (message: Message): Promise<Reply> =>
      this.#next({ ...initialize, message, signal, deadline: NO_DEADLINE });
    const reply = await send(withIdText(initialize.message, '"mcp-sigv4-proxy:initialize"'));
    const opened = resultOf(reply, 'initialize');
    const seen = new SnapshotRecorder(this.#deps.store, initialize.message, resultText(reply) ?? '');
    const assumed: JsonObject = JSON.parse(snapshot.opening);
    if (opened.protocolVersion !== assumed.protocolVersion && !waiting.isPlaceholder) {
      const error = revisionChanged(assumed.protocolVersion, opened.protocolVersion);
      if (this.#state === waiting) this.#state = { kind: 'outdated', error };
      await seen.save();
      throw error;
    }
    await send(waiting.initialized ?? INITIALIZED);
    return { seen, opened };
  }

  /** Notifies the client of differences between the snapshot and the server. */
  async #notifyChanges(waiting: WaitingState, seen: SnapshotRecorder, opened: JsonObject): Promise<void> {
    const { initialize, snapshot } = waiting;
    const assumed: JsonObject = JSON.parse(snapshot.opening);
    const changed: ListName[] = [];
    if (Object.keys(snapshot.pages).length > 0) {
      const pages = await readToolPages(this.#next, initialize, this.#deps.clock).catch(() => undefined);
      if (pages) {
        if (canonicalPages(snapshot.pages) !== canonicalPages(pages)) changed.push('tools');
        if (!seen.hasPages) seen.setPages(pages);
      }
    }
    const origin = new PermanentOrigin(initialize.profile);
    for (const change of listChanges(assumed, opened, changed)) {
      await initialize.emit(change, origin).catch(() => undefined);
    }
  }
}
