import { decimal } from '../../config/option.ts';
import { causeText, type ErrorReason, isFixedByUser, ProxyError } from '../../core/errors/errors.ts';
import { heapBytesOf } from '../../core/jsonrpc/containers.ts';
import { idKey, isId, paramsOf, type Request, statedVersion } from '../../core/jsonrpc/message.ts';
import { SharedResponse } from '../../core/jsonrpc/shared-response.ts';
import type { Call, Handler, Layer, Reply } from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { SharedCall } from '../../core/pipeline/shared-call.ts';
import type { Clock } from '../../core/time/clock.ts';
import { hasInputResponses, serverTtlMs, toolListOf, transientErrorOf } from '../../core/tools/cacheable.ts';
import type { ToolCatalog } from '../../core/tools/catalog.ts';
import type { ChangeListener, ChangeStreams } from '../../core/tools/change-streams.ts';
import {
  isOutdated,
  type KeptList,
  type ListVersion,
  mayStandIn,
  type StaleReason,
  staleReason,
} from '../../core/tools/list-version.ts';
import {
  type CachedAnswer,
  type CachedList,
  CachedLists,
  type CachedPage,
  findPage,
  type ListOutcome,
  type PageFlight,
  type PageVersion,
} from './lists.ts';

export const toolCacheOptions = {
  toolCacheTtl: decimal({
    group: 'Tools',
    placeholder: 's',
    min: 0,
    fallback: undefined,
    defaultText: "the server's ttl; otherwise 300 while an open stream announces changes of the list, else 0",
    help: 'time for which tools/list is answered from the cache; 0 = never. If the server fails, the last list is returned',
  }),
} as const;

export interface ToolCacheDeps {
  /** Undefined: the rule of the option's default. */
  readonly ttlMs: number | undefined;
  readonly toolsOf: (profile: string) => ToolCatalog;
  /** True where the profile's next request may be signed by another identity than its last. */
  readonly isIdentityInDoubt: (profile: string) => boolean;
  readonly changeStreams: ChangeStreams;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * How long the last good list is served after a failure without a new attempt, which may take 20 s
 * of retries.
 */
const LAST_GOOD_MS = 10_000;
/**
 * Faster failures are retried for the next call, so that a repaired cause is not reported again.
 */
const SLOW_MS = 1_000;
/** Errors for which a stale list must not be served, beside those about the request. */
const FINAL: ReadonlySet<ErrorReason> = new Set<ErrorReason>(['shutting-down', 'restart-needed']);

/**
 * Caches tools/list by page. Concurrent calls share one request, and where the server fails, the
 * last good list is served, never an empty one.
 */
export function toolCache(deps: ToolCacheDeps): Layer {
  return (next) => {
    const cache = new ToolCache(deps, next);
    return function toolCache(call) {
      const { message, httpContext, batch } = call;
      if (message.kind === 'notification' && message.method === 'notifications/cancelled') {
        return cache.isShared(call) ? Promise.resolve({ kind: 'accepted' }) : next(call);
      }
      if (message.kind !== 'request' || message.method !== 'tools/list') return next(call);
      // Batches are posted together, and HTTP clients get a current answer unless a ttl is set.
      if (batch || (httpContext && !deps.ttlMs) || hasInputResponses(message)) return next(call);
      return cache.answer(call, message);
    };
  };
}

class ToolCache {
  readonly #deps: ToolCacheDeps;
  readonly #next: Handler;
  readonly #lists = new CachedLists();
  /** Running fetches. */
  readonly #flights = new Set<SharedCall<ListOutcome>>();
  #order = 0;

  constructor(deps: ToolCacheDeps, next: Handler) {
    this.#deps = deps;
    this.#next = next;
  }

  /** True for the cancellation of a request that other calls have joined. */
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
    const page = findPage(list, request);
    const { cached, failed } = page;
    if (cached && !call.fresh && this.#staleReason(call, list, cached) === undefined) {
      return this.#replyFromCache(call, request, cached, 'cache');
    }
    const { version } = toolsOf(call.profile);
    const lasts =
      failed && !isOutdated(failed.version, version) && clock.monotonic() - failed.at < LAST_GOOD_MS;
    if (lasts && this.#lastGood(call, page) && !isIdentityInDoubt(call.profile)) {
      return this.#reply(call, request, page, failed.outcome);
    }
    let { flight } = page;
    // A fetch from before a change, or perhaps for another identity, cannot be joined.
    const joins =
      flight &&
      !isOutdated(flight.version, version) &&
      !flight.work.abandoned &&
      !isIdentityInDoubt(call.profile);
    if (!flight || !joins) {
      const work = new SharedCall<ListOutcome>(call, (shared) =>
        this.#fetch(shared, request, list, page, call),
      );
      flight = { version, work };
      this.#trackFlight(page, flight);
    }
    this.#report(call, joins ? 'another-call' : 'server');
    return this.#reply(call, request, page, await flight.work.join(call));
  }

  #trackFlight(page: CachedPage, flight: PageFlight): void {
    const { work } = flight;
    page.flight = flight;
    this.#flights.add(work);
    void work.ended.then(() => {
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
    const { toolsOf, changeStreams, clock } = this.#deps;
    const tools = toolsOf(call.profile);
    // Trimmed here too, because failed fetches add pages.
    this.#lists.trim(list);
    const version: PageVersion = {
      ...tools.version,
      listing: list.listing,
      watch: call.httpContext ? undefined : changeStreams.watchOf(toListener(call)),
    };
    const order = ++this.#order;
    const started = clock.monotonic();
    let outcome: ListOutcome;
    try {
      const reply = await this.#next(call);
      this.#keep(request, reply, list, page, { version, order });
      list.fingerprint = tools.fingerprintOf(list.cacheKey);
      outcome = toOutcome(reply, leader, this.#next);
    } catch (error) {
      // An abort says nothing about the server.
      if (call.signal.aborted) throw error;
      outcome = toErrorOutcome(error, leader);
    }
    const { failure } = outcome;
    const at = clock.monotonic();
    page.failed = failure?.lasts && at - started >= SLOW_MS ? { at, version, outcome } : undefined;
    if (failure && page.cached) {
      this.#deps.events.emit({ type: 'tools.refresh-failed', profile: call.profile, message: failure.why });
    }
    return outcome;
  }

  #keep(
    request: Request,
    reply: Reply,
    list: CachedList,
    page: CachedPage,
    { version, order }: Pick<CachedAnswer, 'version' | 'order'>,
  ): void {
    const result = toolListOf(reply);
    if (reply.kind !== 'answer' || !result || order < (page.cached?.order ?? 0)) return;
    const first = paramsOf(request).cursor === undefined;
    if (first) list.listing++;
    page.cached = {
      version: first ? { ...version, listing: list.listing } : version,
      order,
      answer: new SharedResponse(reply.message),
      heapBytes: heapBytesOf(reply.message.text),
      at: this.#deps.clock.monotonic(),
      ttlMs: serverTtlMs(result),
    };
    this.#lists.trim(list);
  }

  #reply(call: Call, request: Request, page: CachedPage, outcome: ListOutcome): Reply | Promise<Reply> {
    const standIn = outcome.failure && this.#lastGood(call, page);
    return standIn
      ? this.#replyFromCache(call, request, standIn, 'last-good')
      : outcome.replyFor(call, request);
  }

  /** The last good list, where the call may receive it. */
  #lastGood(call: Call, { cached }: CachedPage): CachedAnswer | undefined {
    const { version } = this.#deps.toolsOf(call.profile);
    return cached && mayStandIn(cached.version, version) && !call.fresh ? cached : undefined;
  }

  #replyFromCache(
    call: Call,
    request: Request,
    { answer }: CachedAnswer,
    from: 'cache' | 'last-good',
  ): Reply {
    this.#report(call, from);
    return { kind: 'answer', message: answer.for(request) };
  }

  #staleReason(call: Call, list: CachedList, cached: CachedAnswer): StaleReason | undefined {
    const { ttlMs, toolsOf, isIdentityInDoubt, changeStreams, clock } = this.#deps;
    const tools = toolsOf(call.profile);
    const version: ListVersion = {
      ...tools.version,
      listing: list.listing,
      fingerprint: tools.fingerprintOf(list.cacheKey),
      watch: changeStreams.watchOf(toListener(call)),
    };
    const kept: KeptList = { ...cached, version: { ...cached.version, fingerprint: list.fingerprint } };
    return staleReason(kept, {
      version,
      now: clock.monotonic(),
      ttlMs,
      isIdentityInDoubt: () => isIdentityInDoubt(call.profile),
    });
  }

  #report({ profile }: Call, from: 'server' | 'another-call' | 'cache' | 'last-good'): void {
    const { events } = this.#deps;
    if (events.observesCalls) events.emit({ type: 'tools.listed', profile, from });
  }
}

const toListener = ({ client, profile, message }: Call): ChangeListener => ({
  client: client.id,
  profile,
  stateless: statedVersion(message) !== undefined,
});

function toOutcome(reply: Reply, leader: Call, next: Handler): ListOutcome {
  if (reply.kind !== 'answer' || (reply.message.outcome === 'result' && !toolListOf(reply))) {
    return { replyFor: (call) => (call === leader ? reply : next(call)) };
  }
  const answer = new SharedResponse(reply.message);
  const give = (call: Call, request: Request): Reply =>
    call === leader ? reply : { ...reply, message: answer.for(request) };
  // An HTTP client must see the 404 to open a new session.
  if (leader.httpContext && reply.http?.status === 404) return { replyFor: give };
  const why = transientErrorOf(reply);
  return why === undefined
    ? { replyFor: give }
    : { replyFor: give, failure: { why, lasts: true, heapBytes: heapBytesOf(reply.message.text) } };
}

function toErrorOutcome(error: unknown, leader: Call): ListOutcome {
  const give = (): never => {
    throw error;
  };
  if (!(error instanceof ProxyError)) return { replyFor: give };
  if (error.fault === 'request' || FINAL.has(error.reason)) return { replyFor: give };
  if (leader.httpContext && error.reason === 'session-lost') return { replyFor: give };
  return { replyFor: give, failure: { why: causeText(error), lasts: !isFixedByUser(error), heapBytes: 0 } };
}
