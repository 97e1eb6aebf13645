import { canonicalText } from '../../core/jsonrpc/canonical-json.ts';
import type { Request } from '../../core/jsonrpc/message.ts';
import { type Call, type Handler, NO_DEADLINE, type Reply } from '../../core/pipeline/call.ts';
import { resultOf, resultText } from '../../core/pipeline/result.ts';
import type { Clock } from '../../core/time/clock.ts';
import { withTimeout } from '../../core/time/waits.ts';
import { readPages } from '../../core/tools/list-pages.ts';
import { listRequest } from '../../core/tools/list-request.ts';
import { pageKey, type Snapshot } from '../../core/tools/snapshot.ts';

/** Time limit for reading the whole list. */
const MAX_READ_MS = 60_000;

/** Reads the server's tool list for a snapshot, in the session of this `initialize`. */
export function readToolPages(
  next: Handler,
  initialize: Call & { readonly message: Request },
  clock: Clock,
): Promise<Record<string, string>> {
  return withTimeout(clock, MAX_READ_MS, async (signal) => {
    const pages: Record<string, string> = {};
    await readPages<Reply>({
      fetch: (cursor) => {
        const message = listRequest(initialize.message, cursor);
        return next({ ...initialize, message, signal, deadline: NO_DEADLINE });
      },
      nextCursorOf: (reply) => resultOf(reply, 'tools/list').nextCursor,
      take: (reply, cursor) => {
        resultOf(reply, 'tools/list');
        pages[pageKey(cursor)] = resultText(reply) ?? '';
        return true;
      },
    });
    return pages;
  });
}

/** The content of pages, independent of the order of keys. */
export const canonicalPages = (pages: Snapshot['pages']): string =>
  canonicalText(Object.values(pages).map((text): unknown => (text === '' ? undefined : JSON.parse(text))));
