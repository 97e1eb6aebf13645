import { createHash } from 'node:crypto';
import { isObject } from '../../core/jsonrpc/message.ts';
import type { Clock } from '../../core/time/clock.ts';
import { SingleFlight } from '../../core/time/single-flight.ts';
import type { PoolCounts } from './metrics.ts';

/** A tool, as the server describes it. */
export type PoolTool = { readonly name: string } & Readonly<Record<string, unknown>>;

export interface PoolToolListDeps {
  readonly clock: Clock;
  /** 0 = fetch each time. */
  readonly ttlMs: number;
  readonly counts: PoolCounts;
  readonly fetch: (signal: AbortSignal) => Promise<readonly PoolTool[]>;
  readonly onChanged: (schemaHash: string) => void;
}

/** The cached list of tools of one key. Concurrent callers share one fetch. */
export class PoolToolList {
  readonly #deps: PoolToolListDeps;
  readonly #flights = new SingleFlight<readonly PoolTool[]>();
  #tools: readonly PoolTool[] | undefined;
  #until = 0;
  #hash: string | undefined;
  /** Counts invalidations, so that a list that was fetched before one is not kept. */
  #version = 0;

  constructor(deps: PoolToolListDeps) {
    this.#deps = deps;
  }

  async get(signal: AbortSignal): Promise<readonly PoolTool[]> {
    const { clock, counts } = this.#deps;
    if (this.#tools && clock.monotonic() < this.#until) {
      counts.toolCacheHits++;
      return this.#tools;
    }
    if (this.#flights.current) counts.toolCacheWaiters++;
    counts.toolCacheMisses++;
    return this.#flights.run((flight) => this.#fetch(flight)).join(signal);
  }

  /** The next caller fetches again. Callers that wait still receive the list being fetched. */
  invalidate(): void {
    this.#version++;
    this.#tools = undefined;
    this.#flights.detach();
  }

  async #fetch(signal: AbortSignal): Promise<readonly PoolTool[]> {
    const { clock, ttlMs, counts, fetch, onChanged } = this.#deps;
    const version = this.#version;
    counts.toolCacheRefreshes++;
    const tools = await fetch(signal);
    if (version !== this.#version) return tools;
    this.#tools = ttlMs > 0 ? tools : undefined;
    this.#until = clock.monotonic() + ttlMs;
    const hash = schemaHash(tools);
    const last = this.#hash;
    this.#hash = hash;
    if (last !== undefined && last !== hash) onChanged(hash);
    return tools;
  }
}

/**
 * The hash of a list of tools. It depends on the order of tools, but not on that of keys. Pure.
 */
export const schemaHash = (tools: readonly PoolTool[]): string =>
  createHash('sha256')
    .update(JSON.stringify(tools.map(sorted)))
    .digest('hex');

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, sorted(each)]));
}

/** Bounds the memory for a server that never ends its list. */
const MAX_PAGES = 100;

/** Fetches all pages. @throws where the server repeats a cursor or sends too many pages. */
export async function fetchAllTools(
  listTools: (cursor: string | undefined) => Promise<unknown>,
): Promise<readonly PoolTool[]> {
  const tools: PoolTool[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const result = await listTools(cursor);
    if (!isObject(result) || !Array.isArray(result.tools))
      throw new Error('the server returned no list of tools');
    tools.push(...(result.tools as PoolTool[]));
    const { nextCursor } = result;
    if (typeof nextCursor !== 'string' || nextCursor === '') return tools;
    if (nextCursor === cursor) throw new Error('the server returned the same page of tools again');
    cursor = nextCursor;
  }
  throw new Error(`the server returned more than ${MAX_PAGES} pages of tools`);
}
