const QUOTE = 34;
const BACKSLASH = 92;
const OPEN_BRACE = 123;
const OPEN_BRACKET = 91;

/** Longer strings are searched for their end by native code. */
const SHORT_STRING = 32;

/**
 * True where the JSON has more than `most` objects and arrays. Reads no further than that; the text
 * need not be valid.
 */
export function hasMoreContainers(json: Uint8Array, most: number): boolean {
  if (json.length <= most) return false;
  let count = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++count > most) return true;
    } else if (byte === QUOTE) at = stringEnd(json, at + 1);
  }
  return false;
}

/** Where the closing quote is of the string that begins at `from`. */
function stringEnd(json: Uint8Array, from: number): number {
  const near = Math.min(json.length, from + SHORT_STRING);
  let at = from;
  for (; at < near; at++) {
    const byte = json[at];
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) at++;
  }
  for (;;) {
    const quote = json.indexOf(QUOTE, at);
    if (quote < 0) return json.length;
    let backslashes = 0;
    while (quote - 1 - backslashes >= at && json[quote - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote;
    at = quote + 1;
  }
}
