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
export const isChangeNotification = (message: Message): boolean =>
  message.kind === 'notification' && CHANGE.test(message.method);

/** True where another session has told of the same change a moment ago. */
export type IsDuplicate = (message: Message, origin: Origin) => boolean;

interface ChangeRecord {
  readonly since: number;
  readonly timesBySession: Map<Origin, number>;
  timesPassed: number;
}

/**
 * Finds what several sessions tell, so that the client hears it once. The n-th time that one
 * session says something stands for the n-th change, so that a change soon after another is never
 * taken for it. It holds what was told within the last second, oldest first.
 */
export function createDuplicateDetector(clock: Clock): IsDuplicate {
  const records = new Map<string, ChangeRecord>();
  return (message, origin) => {
    if (!isChangeNotification(message)) return false;
    const now = clock.monotonic();
    for (const [text, { since }] of records) {
      if (now - since < SAME_CHANGE_MS && records.size < MAX_CHANGES) break;
      records.delete(text);
    }
    const record = records.get(message.text) ?? { since: now, timesBySession: new Map(), timesPassed: 0 };
    records.set(message.text, record);
    const times = (record.timesBySession.get(origin) ?? 0) + 1;
    record.timesBySession.set(origin, times);
    if (times <= record.timesPassed) return true;
    record.timesPassed = times;
    return false;
  };
}
