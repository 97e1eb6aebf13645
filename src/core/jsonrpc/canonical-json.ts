import { isObject } from './message.ts';

/**
 * JSON with sorted keys: servers that build objects from hash maps write the same object in varying
 * order.
 */
export function canonicalText(value: unknown): string {
  try {
    return JSON.stringify(value, sortedKeys);
  } catch (error) {
    if (error instanceof RangeError) return nestedText(value, true);
    throw error;
  }
}

/**
 * As JSON.stringify, for a value that JSON.parse made and that may be nested more deeply than the
 * stack allows.
 */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return nestedText(value, false);
    throw error;
  }
}

function sortedKeys(_key: string, value: unknown): unknown {
  return isObject(value) ? Object.fromEntries(entriesOf(value, true)) : value;
}

function entriesOf(value: object, sorted: boolean): [string, unknown][] {
  const entries = Object.entries(value);
  return sorted ? entries.sort(([one], [other]) => (one < other ? -1 : 1)) : entries;
}

/** The work that is left, the next part last: a piece of text, or a value. */
type Pending = { readonly text: string } | { readonly value: unknown };

/** Keeps its own stack, so that the depth of the value does not matter. */
function nestedText(root: unknown, sorted: boolean): string {
  const pieces: string[] = [];
  const pending: Pending[] = [{ value: root }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    if ('text' in next) pieces.push(next.text);
    else if (typeof next.value !== 'object' || next.value === null) pieces.push(JSON.stringify(next.value));
    else {
      const { value } = next;
      const members: Pending[][] = Array.isArray(value)
        ? value.map((item: unknown) => [{ value: item }])
        : entriesOf(value, sorted).map(([key, item]) => [
            { text: `${JSON.stringify(key)}:` },
            { value: item },
          ]);
      const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
      pieces.push(open);
      pending.push({ text: close });
      for (let at = members.length - 1; at >= 0; at--) {
        pending.push(...(members[at] ?? []).reverse());
        if (at > 0) pending.push({ text: ',' });
      }
    }
  }
  return pieces.join('');
}
