/**
 * Finds where the members of a JSON object stand in its text, so that an edit can be a splice and everything else keeps its
 * bytes. Every function expects text that JSON.parse has accepted: none of them validates, which is what makes them quick
 * (an 8 MB call is scanned in tens of milliseconds, where a full syntax tree takes half a second).
 */

export interface Span {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

export interface Member {
  readonly key: string;
  readonly keySpan: Span;
  readonly valueSpan: Span;
}

const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const COMMA = 44;

const isBlank = (code: number): boolean => code === 32 || code === 10 || code === 13 || code === 9;

function skipBlanks(text: string, from: number): number {
  let at = from;
  while (isBlank(text.charCodeAt(at))) at++;
  return at;
}

/** `from` stands on the opening quote; returns the place after the closing one. */
function skipString(text: string, from: number): number {
  let at = from + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

function skipValue(text: string, from: number): number {
  const first = text.charCodeAt(from);
  if (first === QUOTE) return skipString(text, from);
  let at = from;
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || isBlank(code)) break;
    }
    return at;
  }
  let depth = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = skipString(text, at);
      continue;
    }
    at++;
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if ((code === CLOSE_BRACE || code === CLOSE_BRACKET) && --depth === 0) return at;
  }
  return at;
}

/** The members of the object that starts at or after `from`, in order, duplicates included; none if it is no object. */
export function membersOf(text: string, from = 0): Member[] {
  const members: Member[] = [];
  let at = skipBlanks(text, from);
  if (text.charCodeAt(at) !== OPEN_BRACE) return members;
  at = skipBlanks(text, at + 1);
  while (text.charCodeAt(at) === QUOTE) {
    const keyStart = at;
    at = skipString(text, at);
    const keySpan = { start: keyStart, end: at };
    const raw = text.slice(keyStart + 1, at - 1);
    const key = raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw;
    const valueStart = skipBlanks(text, skipBlanks(text, at) + 1);
    const valueEnd = skipValue(text, valueStart);
    members.push({ key, keySpan, valueSpan: { start: valueStart, end: valueEnd } });
    at = skipBlanks(text, valueEnd);
    if (text.charCodeAt(at) === COMMA) at = skipBlanks(text, at + 1);
  }
  return members;
}

/** The texts of the elements of the array that starts at or after `from`. */
export const elementsOf = (text: string, from = 0): string[] =>
  elementSpansOf(text, from).map(({ start, end }) => text.slice(start, end));

/** Where the elements of the array stand that starts at or after `from`; none if it is no array. */
export function elementSpansOf(text: string, from = 0): Span[] {
  const elements: Span[] = [];
  let at = skipBlanks(text, from);
  if (text.charCodeAt(at) !== OPEN_BRACKET) return elements;
  at = skipBlanks(text, at + 1);
  while (at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = skipValue(text, at);
    elements.push({ start: at, end });
    at = skipBlanks(text, end);
    if (text.charCodeAt(at) === COMMA) at = skipBlanks(text, at + 1);
  }
  return elements;
}

/** The last member of that name: the one JSON.parse keeps. */
export function memberAt(text: string, path: readonly string[]): Member | undefined {
  let from = 0;
  let found: Member | undefined;
  for (const key of path) {
    found = membersOf(text, from).findLast((member) => member.key === key);
    if (!found) return undefined;
    from = found.valueSpan.start;
  }
  return found;
}

export function spliceText(text: string, span: Span, replacement: string): string {
  return text.slice(0, span.start) + replacement + text.slice(span.end);
}

/** Puts a member first in the object that starts at or after `from`. The caller knows that the key is not there yet. */
export function insertMember(text: string, from: number, key: string, valueText: string): string {
  const open = skipBlanks(text, from);
  const empty = text.charCodeAt(skipBlanks(text, open + 1)) === CLOSE_BRACE;
  return spliceText(
    text,
    { start: open + 1, end: open + 1 },
    `${JSON.stringify(key)}:${valueText}${empty ? '' : ','}`,
  );
}

/** Takes every member of that name out of the top-level object. */
export function removeMember(text: string, key: string): string {
  let rest = text;
  for (;;) {
    const members = membersOf(rest);
    const index = members.findIndex((member) => member.key === key);
    const member = members[index];
    if (!member) return rest;
    const next = members[index + 1];
    const previous = members[index - 1];
    const start = next ? member.keySpan.start : (previous?.valueSpan.end ?? member.keySpan.start);
    const end = next ? next.keySpan.start : member.valueSpan.end;
    rest = spliceText(rest, { start, end }, '');
  }
}
