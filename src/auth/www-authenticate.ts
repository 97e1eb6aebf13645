/** One challenge of a WWW-Authenticate header (RFC 9110). */
export interface Challenge {
  /** In lower case: `bearer`, `aws4-hmac-sha256`. */
  readonly scheme: string;
  /** The parameters, names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** A longer header is cut: it names a scheme and some parameters. */
const MAX_HEADER_CHARACTERS = 8_192;
const MAX_CHALLENGES = 16;

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** A parameter with its separator, a new scheme, or the token68 form of some schemes. */
const PART = new RegExp(
  `[\\s,]*(?:(${TOKEN})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))(?=[\\s,]|$)|(${TOKEN})(?=[\\s,]|$)|([^\\s,]+))`,
  'y',
);

/** Reads a WWW-Authenticate header leniently: parts that match no rule are skipped. Pure. */
export function challengesIn(header: string): Challenge[] {
  const text = header.slice(0, MAX_HEADER_CHARACTERS);
  const challenges: { readonly scheme: string; readonly parameters: Map<string, string> }[] = [];
  PART.lastIndex = 0;
  for (let part = PART.exec(text); part !== null; part = PART.exec(text)) {
    const [, name, quoted, plain, scheme] = part;
    if (scheme !== undefined && challenges.length < MAX_CHALLENGES)
      challenges.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
    if (name === undefined) continue;
    const value = quoted === undefined ? (plain ?? '') : quoted.replace(/\\(.)/g, '$1');
    challenges.at(-1)?.parameters.set(name.toLowerCase(), value);
  }
  return challenges;
}

/** The parameters of the Bearer challenge (RFC 6750); undefined for a header without one. Pure. */
export const bearerChallengeIn = (header: string): ReadonlyMap<string, string> | undefined =>
  challengesIn(header).find(({ scheme }) => scheme === 'bearer')?.parameters;
