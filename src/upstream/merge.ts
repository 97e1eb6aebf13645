import type { Emit, Origin } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import type { Message } from '../core/message.ts';

/** Sessions of one server tell of one change within moments of each other; later, it is another change. */
const SAME_CHANGE_MS = 1_000;

/** What a server tells every session that it has, so that it comes once per session. */
const TOLD_TO_ALL = /^notifications\/((tools|prompts|resources)\/list_changed|resources\/updated)$/;

interface Telling {
  readonly since: number;
  readonly heard: Map<Origin, number>;
  passed: number;
}

/**
 * Passes what several sessions tell once. The n-th time that one session says something stands for the n-th change, so that a change
 * soon after another is never taken for it.
 */
export function mergedEmit(clock: Clock, emit: Emit): Emit {
  const tellings = new Map<string, Telling>();
  const isEcho = (message: Message, origin: Origin): boolean => {
    if (message.kind !== 'notification' || !TOLD_TO_ALL.test(message.method)) return false;
    const now = clock.monotonic();
    for (const [text, { since }] of tellings) if (now - since >= SAME_CHANGE_MS) tellings.delete(text);
    const telling = tellings.get(message.text) ?? { since: now, heard: new Map(), passed: 0 };
    tellings.set(message.text, telling);
    const times = (telling.heard.get(origin) ?? 0) + 1;
    telling.heard.set(origin, times);
    if (times <= telling.passed) return true;
    telling.passed = times;
    return false;
  };
  return async (message, origin) => {
    if (!isEcho(message, origin)) await emit(message, origin);
  };
}
