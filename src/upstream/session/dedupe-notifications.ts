import type { Message } from '../../core/jsonrpc/message.ts';
import { shortKey } from '../../core/jsonrpc/short-key.ts';
import type { Emit, Origin } from '../../core/pipeline/call.ts';
import type { Clock } from '../../core/time/clock.ts';

/** Sessions of one server announce a change within moments; a later one is another change. */
const SAME_CHANGE_MS = 1_000;

/** A server may announce any number of resources. An eviction only lets duplicates through. */
const MAX_CHANGES = 1_024;

const DROPPED = Promise.resolve();

const CHANGE = /^notifications\/((tools|prompts|resources)\/list_changed|resources\/updated)$/;

/** True for notifications that a server sends once per session; they belong to no call. */
export const isChangeNotification = (message: Message): boolean =>
  message.kind === 'notification' && CHANGE.test(message.method);

interface ChangeRecord {
  readonly since: number;
  readonly timesBySession: Map<Origin, number>;
  timesPassed: number;
}

/**
 * Drops notifications that another session of the same profile has just emitted. The n-th of one
 * session counts as the n-th change, so that a second change is never dropped.
 */
export function withoutDuplicates(emit: Emit, clock: Clock): Emit {
  /** The changes of the last second, oldest first. */
  const records = new Map<string, ChangeRecord>();
  const isDuplicate = (message: Message, origin: Origin): boolean => {
    const now = clock.monotonic();
    for (const [text, { since }] of records) {
      if (now - since < SAME_CHANGE_MS && records.size < MAX_CHANGES) break;
      records.delete(text);
    }
    const key = `${origin.profile}\n${shortKey(message.text)}`;
    const record = records.get(key) ?? { since: now, timesBySession: new Map(), timesPassed: 0 };
    records.set(key, record);
    const times = (record.timesBySession.get(origin) ?? 0) + 1;
    record.timesBySession.set(origin, times);
    if (times <= record.timesPassed) return true;
    record.timesPassed = times;
    return false;
  };
  return (message, origin) =>
    isChangeNotification(message) && isDuplicate(message, origin) ? DROPPED : emit(message, origin);
}
