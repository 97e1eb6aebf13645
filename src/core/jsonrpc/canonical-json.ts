import { isObject } from './message.ts';

/**
 * JSON with sorted keys: servers that build objects from hash maps write the same object in varying
 * order.
 */
export const canonicalText = (value: unknown): string => JSON.stringify(value, sortedKeys);

function sortedKeys(_key: string, value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}
