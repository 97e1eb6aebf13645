/**
 * Finds where the members of a JSON object stand in its text, so that an edit can be a splice and
 * everything else keeps its bytes. Every function expects text that JSON.parse has accepted: none
 * of them validates, which is what makes them quick (an 8 MB call is scanned in tens of
 * milliseconds, where a full syntax tree takes half a second).
 */

export interface TextSpan {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

export interface JsonMember {
  readonly key: string;
  readonly keySpan: TextSpan;
  readonly valueSpan: TextSpan;
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

/** `from` is the index of the opening quote. Returns the index after the closing one. */
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

/** `from` is the index of the first character of a value. Returns the index after its last. */
export function skipValue(text: string, from: number): number {
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

/**
 * Takes one member and returns where its value ends, which is where the walk goes on: `skipValue`
 * says so, or a walk of its own through the value. Below zero ends the walk.
 */
type Visit = (key: string, valueStart: number, keyStart: number, keyEnd: number) => number;

/**
 * Goes once through the object that starts at or after `from`, in order; returns where it ends, as
 * for any other value.
 */
function walkMembers(text: string, from: number, visit: Visit): number {
  let at = skipBlanks(text, from);
  if (text.charCodeAt(at) !== OPEN_BRACE) return skipValue(text, at);
  at = skipBlanks(text, at + 1);
  while (text.charCodeAt(at) === QUOTE) {
    const keyStart = at;
    at = skipString(text, at);
    const raw = text.slice(keyStart + 1, at - 1);
    const key = raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw;
    const valueEnd = visit(key, skipBlanks(text, skipBlanks(text, at) + 1), keyStart, at);
    if (valueEnd < 0) return valueEnd;
    at = skipBlanks(text, valueEnd);
    if (text.charCodeAt(at) === COMMA) at = skipBlanks(text, at + 1);
  }
  return at + 1;
}

/**
 * The members of the object that starts at or after `from`, in order, duplicates included; none if
 * it is no object.
 */
export function membersOf(text: string, from = 0): JsonMember[] {
  const members: JsonMember[] = [];
  walkMembers(text, from, (key, start, keyStart, keyEnd) => {
    const end = skipValue(text, start);
    members.push({ key, keySpan: { start: keyStart, end: keyEnd }, valueSpan: { start, end } });
    return end;
  });
  return members;
}

/** The keys of an object that decide what is done with it, and those of the objects inside it. */
export interface DecidingKeys {
  readonly keys: readonly string[];
  /** The keys that another spelling must not stand in for; absent: all of `keys`. */
  readonly foldable?: readonly string[];
  readonly inside?: Readonly<Record<string, DecidingKeys>>;
}

/** A deciding key that parsers may disagree about. */
export interface AmbiguousMember {
  /** The path of the deciding key, joined by dots. */
  readonly key: string;
  /**
   * Present where another key equals it after case folding: that key. Absent where it is repeated.
   */
  readonly written?: string;
}

/**
 * Finds deciding keys that are repeated, and keys that equal a deciding key only after case
 * folding, in one walk: an 8 MB argument is passed over once.
 */
export function findAmbiguousMembers(text: string, deciding: DecidingKeys): AmbiguousMember[] {
  const found: AmbiguousMember[] = [];
  const look = (from: number, { keys, foldable = keys, inside }: DecidingKeys, prefix: string): number => {
    const seen: string[] = [];
    return walkMembers(text, from, (key, valueStart) => {
      if (!keys.includes(key)) {
        const meant = foldedAmong(foldable, key);
        if (meant !== undefined) found.push({ key: prefix + meant, written: key });
        return skipValue(text, valueStart);
      }
      if (seen.includes(key)) found.push({ key: prefix + key });
      seen.push(key);
      const inner = inside?.[key];
      return inner ? look(valueStart, inner, `${prefix}${key}.`) : skipValue(text, valueStart);
    });
  };
  look(0, deciding, '');
  return found;
}

/** The most letters that folding makes of one, as in the ligature of "ffi". */
const MAX_FOLDED_LETTERS = 3;

function foldedAmong(keys: readonly string[], written: string): string | undefined {
  const key = written.includes('\0') ? written.replaceAll('\0', '') : written;
  let folded: string | undefined;
  return keys.find((each) => {
    if (key.length > each.length || key.length * MAX_FOLDED_LETTERS < each.length) return false;
    folded ??= foldCase(key);
    return folded === foldCase(each);
  });
}

/**
 * Folds case at least as widely as the parsers do: also the long s (U+017F), the Kelvin sign
 * (U+212A), the Turkish i (U+0130, U+0131) and ligatures become the ASCII letters that some parser
 * takes them for.
 */
export const foldCase = (key: string): string =>
  key
    .replace(/\u0130/g, 'i')
    .toLowerCase()
    .toUpperCase();

/**
 * Where the value of the first member of that name starts: enough where the key is known to stand
 * there once.
 */
export function valueStartOf(text: string, key: string, from = 0): number | undefined {
  let found: number | undefined;
  walkMembers(text, from, (name, valueStart) => {
    if (name !== key) return skipValue(text, valueStart);
    found = valueStart;
    return -1;
  });
  return found;
}

/** The texts of the elements of the array that starts at or after `from`. */
export const elementsOf = (text: string, from = 0): string[] =>
  elementSpansOf(text, from).map(({ start, end }) => text.slice(start, end));

/** Where the elements of the array stand that starts at or after `from`; none if it is no array. */
function elementSpansOf(text: string, from = 0): TextSpan[] {
  const elements: TextSpan[] = [];
  walkElements(text, from, elements);
  return elements;
}

/**
 * Goes once through the array that starts at or after `from`; returns where it ends, as for any
 * other value.
 */
function walkElements(text: string, from: number, elements: TextSpan[]): number {
  let at = skipBlanks(text, from);
  if (text.charCodeAt(at) !== OPEN_BRACKET) return skipValue(text, at);
  at = skipBlanks(text, at + 1);
  while (at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = skipValue(text, at);
    elements.push({ start: at, end });
    at = skipBlanks(text, end);
    if (text.charCodeAt(at) === COMMA) at = skipBlanks(text, at + 1);
  }
  return at + 1;
}

/**
 * The array at a path, and where its elements stand, in one walk: a list of a thousand tools is
 * long.
 */
export function arrayAt(
  text: string,
  path: readonly string[],
): { readonly span: TextSpan; readonly elements: readonly TextSpan[] } | undefined {
  let elements: TextSpan[] = [];
  const member = memberAt(text, path, (start) => {
    elements = [];
    return walkElements(text, start, elements);
  });
  return member && { span: member.valueSpan, elements };
}

/**
 * The last member of that name: the one JSON.parse keeps.
 * @param through - walks through its value, and returns where that ends.
 */
export function memberAt(
  text: string,
  path: readonly string[],
  through = (start: number): number => skipValue(text, start),
): JsonMember | undefined {
  let found: JsonMember | undefined;
  const find = (from: number, depth: number): number =>
    walkMembers(text, from, (key, start, keyStart, keyEnd) => {
      if (key !== path[depth]) return skipValue(text, start);
      found = undefined;
      if (depth + 1 < path.length) return find(start, depth + 1);
      const end = through(start);
      found = { key, keySpan: { start: keyStart, end: keyEnd }, valueSpan: { start, end } };
      return end;
    });
  find(0, 0);
  return found;
}

export function spliceText(text: string, span: TextSpan, replacement: string): string {
  return text.slice(0, span.start) + replacement + text.slice(span.end);
}

/**
 * Puts a member first in the object that starts at or after `from`. The caller knows that the key
 * is not there yet.
 */
export function insertMember(text: string, from: number, key: string, valueText: string): string {
  const open = skipBlanks(text, from);
  const empty = text.charCodeAt(skipBlanks(text, open + 1)) === CLOSE_BRACE;
  return spliceText(
    text,
    { start: open + 1, end: open + 1 },
    `${JSON.stringify(key)}:${valueText}${empty ? '' : ','}`,
  );
}

/** Takes every member of that name out of the object that starts at or after `from`. */
export function removeMember(text: string, key: string, from = 0): string {
  let rest = text;
  for (;;) {
    const members = membersOf(rest, from);
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
