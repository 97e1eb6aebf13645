import type { Id } from '../../core/jsonrpc/message.ts';

/** A response to no request may be the answer after all; with several, it cannot be identified. */
export const MAX_STRAYS = 2;

/** Some servers return 1 as "1", "1" as 1, or no id. */
export const isSameIdLoosely = (given: Id | undefined, asked: Id): boolean =>
  given === undefined || String(given) === String(asked);
