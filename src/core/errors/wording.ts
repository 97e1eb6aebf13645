type Wording = (text: string) => string;

let wording: Wording | undefined;

/**
 * Words all further texts of errors and events for programs, which set options by the names of
 * members. Process-wide, because texts are made in every folder; the command never calls it.
 */
export function useWording(next: Wording): void {
  wording = next;
}

/** The text as the reader knows the options. */
export const worded = (text: string): string => (wording ? wording(text) : text);

/** The members of an event that are texts of the proxy. */
const TEXTS = ['message', 'cause', 'error', 'option'];

/** The event with its texts worded; the same object where nothing changes. */
export function withWordedTexts<T extends object>(event: T): T {
  const word = wording;
  if (!word) return event;
  const changed = Object.entries(event).flatMap(([name, text]): [string, string][] => {
    if (typeof text !== 'string' || !TEXTS.includes(name)) return [];
    const next = word(text);
    return next === text ? [] : [[name, next]];
  });
  return changed.length === 0 ? event : { ...event, ...Object.fromEntries(changed) };
}
