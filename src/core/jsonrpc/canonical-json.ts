import { isObject } from './message.ts';

/**
 * JSON whose objects list their keys in order: servers that build them from a hash map write the
 * same object in another order each time.
 */
export const canonicalText = (value: unknown): string => JSON.stringify(value, sortedKeys);

function sortedKeys(_key: string, value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}
