import type { Message } from '../../core/jsonrpc/message.ts';
import type { Origin } from '../../core/pipeline/call.ts';
import type { Clock } from '../../core/time/clock.ts';

/**
 * Sessions of one server tell of one change within moments of each other; later, it is another
 * change.
 */
const SAME_CHANGE_MS = 1_000;

/**
 * Of resources, a server may tell any number within that time. What is forgotten too early comes
 * once per session: no harm.
 */
const MAX_CHANGES = 1_024;

const CHANGE = /^notifications\/((tools|prompts|resources)\/list_changed|resources\/updated)$/;

/**
 * What a server tells every session that it has, and so once per session; it belongs to no call,
 * whichever stream it comes on.
 */
export const isListChanged = (message: Message): boolean =>
  message.kind === 'notification' && CHANGE.test(message.method);

/** True where another session has told of the same change a moment ago. */
export type IsDuplicate = (message: Message, origin: Origin) => boolean;

interface Telling {
  readonly since: number;
  readonly heard: Map<Origin, number>;
  passed: number;
}

/**
 * Finds what several sessions tell, so that the client hears it once. The n-th time that one
 * session says something stands for the n-th change, so that a change soon after another is never
 * taken for it. It holds what was told within the last second, oldest first.
 */
export function detectDuplicates(clock: Clock): IsDuplicate {
  const tellings = new Map<string, Telling>();
  return (message, origin) => {
    if (!isListChanged(message)) return false;
    const now = clock.monotonic();
    for (const [text, { since }] of tellings) {
      if (now - since < SAME_CHANGE_MS && tellings.size < MAX_CHANGES) break;
      tellings.delete(text);
    }
    const telling = tellings.get(message.text) ?? { since: now, heard: new Map(), passed: 0 };
    tellings.set(message.text, telling);
    const times = (telling.heard.get(origin) ?? 0) + 1;
    telling.heard.set(origin, times);
    if (times <= telling.passed) return true;
    telling.passed = times;
    return false;
  };
}
