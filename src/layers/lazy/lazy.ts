import { toggle } from '../../config/option.ts';
import { type Message, statedVersion } from '../../core/jsonrpc/message.ts';
import type { Layer } from '../../core/pipeline/call.ts';
import { LazyClient, type LazyDeps } from './client.ts';

export const lazyOptions = {
  lazy: toggle({
    group: 'Sessions',
    common: true,
    help: 'start without the server: answer initialize and tools/list from the last snapshot, or with no tools and the reason, and connect as soon as possible',
  }),
} as const;

/** The two layers of a lazy start: one outside all edits, one where the profile is known. */
export interface Lazy {
  /** Answers the client's start from the last snapshot. */
  readonly start: Layer;
  /** Opens the session before the first call that needs it. Below `start`. */
  readonly need: Layer;
}

/**
 * Answers a client's start from the last snapshot, so that it works without credentials or network,
 * and opens the session on first need. Session era only.
 */
export function lazy(deps: LazyDeps): Lazy {
  const clients = new Map<string, LazyClient>();
  return {
    start: (next) =>
      async function lazyStart(call) {
        const { message, client } = call;
        if (isSessionless(message)) return next(call);
        if (message.kind === 'request' && message.method === 'initialize' && !clients.has(client.id)) {
          clients.set(client.id, new LazyClient(deps, next));
        }
        return clients.get(client.id)?.handle(call) ?? next(call);
      },
    need: (next) =>
      async function lazyNeed(call) {
        if (!isSessionless(call.message)) await clients.get(call.client.id)?.ensureOpen(call);
        return next(call);
      },
  };
}

/** True for messages that need no new session: responses, and stateless messages. */
const isSessionless = (message: Message): boolean =>
  message.kind === 'response' || statedVersion(message) !== undefined;
