import { decimal } from '../../config/option.ts';
import { causeText, type ErrorReason, isMendedByHand, ProxyError } from '../../core/errors/errors.ts';
import { claimOf, idKey, isId, paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import { SharedResponse } from '../../core/jsonrpc/shared-response.ts';
import type { Call, Handler, Layer, Reply } from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { SingleFlight } from '../../core/pipeline/single-flight.ts';
import type { Clock } from '../../core/time/clock.ts';
import { isOneOff, ownTtlMs, passingErrorOf, toolListOf } from '../../core/tools/cacheable.ts';
import type { ToolCatalog } from '../../core/tools/catalog.ts';
import type { ChangeListener, ChangeStreams } from '../../core/tools/change-streams.ts';
import {
  type Began,
  type CachedList,
  type CachedPage,
  type Kept,
  type ListOutcome,
  Lists,
  type PageFlight,
  pageOf,
} from './lists.ts';

export const toolCacheOptions = {
  toolCacheTtl: decimal({
    group: 'Tools',
    placeholder: 's',
    min: 0,
    fallback: undefined,
    defaultText: "the server's ttl; otherwise 300 while an open stream announces changes of the list, else 0",
    help: 'time for which tools/list is answered from the cache; 0 = always ask the server. If the server fails, the last list is returned',
  }),
} as const;

export interface ToolCacheDeps {
  /** Undefined: the rule of the option's default. */
  readonly ttlMs: number | undefined;
  readonly toolsOf: (profile: string) => ToolCatalog;
  /** True where the profile's next request may be signed by another identity than its last. */
  readonly isIdentityInDoubt: (profile: string) => boolean;
  readonly feeds: ChangeStreams;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * Where the server promises to tell of changes: long enough for most agents' work, short enough for
 * a promise that is not kept.
 */
const WATCHED_TTL_MS = 300_000;
/**
 * How long the last list stands in for one that could not be had, without another try: to ask may
 * take 20 s of repeats, for which nobody who lists at every turn shall wait often.
 */
const STAND_IN_MS = 10_000;
/**
 * What fails sooner is tried again for the next who asks, and so is whatever no list can stand in
 * for: who was told of a failure and has mended its reason would be told of it again, however
 * quickly the server would answer by now.
 */
const SLOW_MS = 1_000;
/** Errors of the proxy's own that an earlier answer is no better than. */
const FINAL: ReadonlySet<ErrorReason> = new Set<ErrorReason>([
  'invalid-request',
  'parse-error',
  'shutting-down',
  'restart-needed',
]);

/**
 * Answers tools/list from what the server said a moment ago, page by page as asked. Callers that
 * come together share one request, and where the server cannot be asked, the last list stands in:
 * never an empty one.
 */
export function toolCache(deps: ToolCacheDeps): Layer {
  return (next) => {
    const cache = new ToolCache(deps, next);
    return function toolCache(call) {
      const { message, passage, batch } = call;
      if (message.kind === 'notification' && message.method === 'notifications/cancelled') {
        return cache.isShared(call) ? Promise.resolve({ kind: 'accepted' }) : next(call);
      }
      if (message.kind !== 'request' || message.method !== 'tools/list') return next(call);
      // The members of a batch are posted together. An HTTP client has asked this server now,
      // unless somebody has said that an answer of a moment ago will do.
      if (batch || (passage && !deps.ttlMs) || isOneOff(message)) return next(call);
      return cache.answer(call, message);
    };
  };
}

class ToolCache {
  readonly #deps: ToolCacheDeps;
  readonly #next: Handler;
  readonly #lists = new Lists();
  /** Fetches that run. */
  readonly #flights = new Set<SingleFlight<ListOutcome>>();
  #order = 0;

  constructor(deps: ToolCacheDeps, next: Handler) {
    this.#deps = deps;
    this.#next = next;
  }

  /**
   * True for word that a request is cancelled which others have joined: to the server it goes on.
   */
  isShared({ message, client }: Call): boolean {
    const { requestId } = paramsOf(message);
    if (!isId(requestId)) return false;
    return [...this.#flights].some(({ leader, shared }) => {
      const led = leader.message.kind === 'request' && idKey(leader.message.id) === idKey(requestId);
      return led && shared && leader.client.id === client.id;
    });
  }

  async answer(call: Call, request: Request): Promise<Reply> {
    const { toolsOf, isIdentityInDoubt, clock } = this.#deps;
    const list = this.#lists.of(call);
    const page = pageOf(list, request);
    const { kept, failed } = page;
    if (kept && !call.fresh && this.#isFresh(call, list, kept)) {
      return this.#told(call, request, kept, 'cache');
    }
    const { generation } = toolsOf(call.profile);
    const lasts = failed?.generation === generation && clock.monotonic() - failed.at < STAND_IN_MS;
    if (lasts && this.#standIn(call, page) && !isIdentityInDoubt(call.profile)) {
      return this.#give(call, request, page, failed.outcome);
    }
    let { flight } = page;
    // What was asked for before the list changed says nothing to who asks after it; nor what
    // somebody else has asked for, perhaps.
    const joins =
      flight?.generation === generation && !flight.work.abandoned && !isIdentityInDoubt(call.profile);
    if (!flight || !joins) {
      const work = new SingleFlight<ListOutcome>(call, (shared) =>
        this.#fetch(shared, request, list, page, call),
      );
      flight = { generation, work };
      this.#follow(page, flight);
    }
    this.#report(call, joins ? 'another-call' : 'server');
    return this.#give(call, request, page, await flight.work.join(call));
  }

  #follow(page: CachedPage, flight: PageFlight): void {
    const { work } = flight;
    page.flight = flight;
    this.#flights.add(work);
    void work.over.then(() => {
      this.#flights.delete(work);
      if (page.flight === flight) page.flight = undefined;
    });
  }

  /** @param leader - whose message it carries; `call` belongs to all who wait. */
  async #fetch(
    call: Call,
    request: Request,
    list: CachedList,
    page: CachedPage,
    leader: Call,
  ): Promise<ListOutcome> {
    const { toolsOf, feeds, clock } = this.#deps;
    const tools = toolsOf(call.profile);
    const { generation, identity } = tools;
    // Here, too: a server that fails for every cursor, or is left by every caller, brings nothing
    // to keep.
    this.#lists.trim(list);
    const began = {
      order: ++this.#order,
      generation,
      identity,
      walk: list.walk,
      feed: call.passage ? undefined : feeds.unbroken(listenerOf(call)),
    };
    const started = clock.monotonic();
    let outcome: ListOutcome;
    try {
      const reply = await this.#next(call);
      this.#keep(request, reply, list, page, began);
      list.fingerprint = tools.fingerprintOf(list.view);
      outcome = outcomeOf(reply, leader, this.#next);
    } catch (error) {
      // Nobody waits any more: that says nothing of the server.
      if (call.signal.aborted) throw error;
      outcome = thrown(error, leader);
    }
    const { failure } = outcome;
    const at = clock.monotonic();
    page.failed = failure?.lasts && at - started >= SLOW_MS ? { at, generation, outcome } : undefined;
    if (failure && page.kept) {
      this.#deps.events.emit({ type: 'tools.refresh-failed', profile: call.profile, message: failure.why });
    }
    return outcome;
  }

  #keep(request: Request, reply: Reply, list: CachedList, page: CachedPage, began: Began): void {
    const result = toolListOf(reply);
    if (reply.kind !== 'answer' || !result || began.order < (page.kept?.order ?? 0)) return;
    const first = paramsOf(request).cursor === undefined;
    if (first) list.walk++;
    page.kept = {
      ...began,
      walk: first ? list.walk : began.walk,
      answer: new SharedResponse(reply.message),
      characters: reply.message.text.length,
      at: this.#deps.clock.monotonic(),
      ttlMs: ownTtlMs(result),
    };
    this.#lists.trim(list);
  }

  #give(call: Call, request: Request, page: CachedPage, outcome: ListOutcome): Reply | Promise<Reply> {
    const standIn = outcome.failure && this.#standIn(call, page);
    return standIn ? this.#told(call, request, standIn, 'last-good') : outcome.give(call, request);
  }

  /** The last list, for who may have it where the server cannot be asked. */
  #standIn(call: Call, { kept }: CachedPage): Kept | undefined {
    const { identity } = this.#deps.toolsOf(call.profile);
    return kept?.identity === identity && !call.fresh ? kept : undefined;
  }

  #told(call: Call, request: Request, { answer }: Kept, from: 'cache' | 'last-good'): Reply {
    this.#report(call, from);
    return { kind: 'answer', message: answer.for(request) };
  }

  #isFresh(call: Call, list: CachedList, kept: Kept): boolean {
    const { ttlMs, toolsOf, isIdentityInDoubt, feeds, clock } = this.#deps;
    const tools = toolsOf(call.profile);
    if (kept.generation !== tools.generation || kept.walk !== list.walk) return false;
    // A request that went past this may have met with a changed list.
    if (list.fingerprint !== tools.fingerprintOf(list.view)) return false;
    const watched = (): boolean => kept.feed !== undefined && kept.feed === feeds.unbroken(listenerOf(call));
    const ttl = ttlMs ?? kept.ttlMs ?? (watched() ? WATCHED_TTL_MS : 0);
    // Last, because it may look at files.
    return clock.monotonic() - kept.at < ttl && !isIdentityInDoubt(call.profile);
  }

  #report({ profile }: Call, from: 'server' | 'another-call' | 'cache' | 'last-good'): void {
    const { events } = this.#deps;
    if (events.detailed) events.emit({ type: 'tools.listed', profile, from });
  }
}

const listenerOf = ({ client, profile, message }: Call): ChangeListener => ({
  client: client.id,
  profile,
  stateless: claimOf(message) !== undefined,
});

function outcomeOf(reply: Reply, leader: Call, next: Handler): ListOutcome {
  if (reply.kind !== 'answer' || (reply.message.outcome === 'result' && !toolListOf(reply))) {
    return { give: (call) => (call === leader ? reply : next(call)) };
  }
  const answer = new SharedResponse(reply.message);
  const give = (call: Call, request: Request): Reply =>
    call === leader ? reply : { ...reply, message: answer.for(request) };
  // The session of an HTTP client is gone: it opens a new one on this, and on nothing else.
  if (leader.passage && reply.http?.status === 404) return { give };
  const why = passingErrorOf(reply);
  return why === undefined ? { give } : { give, failure: { why, lasts: true } };
}

function thrown(error: unknown, leader: Call): ListOutcome {
  const give = (): never => {
    throw error;
  };
  if (!(error instanceof ProxyError) || FINAL.has(error.reason)) return { give };
  if (leader.passage && error.reason === 'session-lost') return { give };
  return { give, failure: { why: causeText(error), lasts: !isMendedByHand(error) } };
}
