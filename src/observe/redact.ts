/** Names that a value worth hiding goes by, in any spelling. */
const NAMES =
  'authorization|proxy-authorization|cookie|set-cookie|x-amz-security-token|mcp-session-id|(?:aws_?)?secret_?access_?key|(?:aws_?)?session_?token';

/** What a secret looks like wherever it stands, with the part to keep in front of it. */
const SHAPES: readonly (readonly [pattern: RegExp, kept: string])[] = [
  [/(Signature=)[0-9a-f]{16,}/gi, '$1'],
  [/(Credential=)[^\s,"&]+/gi, '$1'],
  [/(X-Amz-(?:Signature|Credential|Security-Token)=)[^\s&"\\]+/gi, '$1'],
  [/(\b(?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]{8,}/g, '$1'],
  [new RegExp(`("(?:${NAMES})"\\s*:\\s*")(?:[^"\\\\]|\\\\.)*`, 'gi'), '$1'],
  // The same in JSON that stands as text in JSON, however deep: the value ends at a quote that is escaped as its name's.
  [new RegExp(`((?<!\\\\)(\\\\+)"(?:${NAMES})\\2"\\s*:\\s*\\2")(?:(?!(?<!\\\\)\\2").)*`, 'gi'), '$1'],
  // And as header lines, or as they stand in ~/.aws/credentials and in the environment.
  [new RegExp(`((?:${NAMES})[ \\t]*[:=][ \\t]*)[^\\s"\\\\,&][^"\\\\\\r\\n]*`, 'gi'), '$1'],
  // Session tokens of STS start like this.
  [/\b(?:IQoJ|FwoG|FQoG|AQoD)[A-Za-z0-9+/=%]{40,}/g, ''],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b/g, ''],
  [/(:\/\/[^\s/:@"]+:)[^\s/@"]+(?=@)/g, '$1'],
];

const HIDDEN = '[redacted]';

/** Refreshes bring new secrets for as long as the process lives; the oldest have long expired. */
const MAX_KNOWN = 64;
/** Shorter values would hit words that are no secrets. */
const SHORTEST_SECRET = 8;

/** Takes secrets out of text: those it was told of, and whatever looks like one. */
export class Redactor {
  /** Each with the spellings in which it can stand in a line. */
  readonly #known = new Map<string, readonly string[]>();

  learn(secret: string): void {
    if (secret.length < SHORTEST_SECRET) return;
    const escaped = JSON.stringify(secret).slice(1, -1);
    // As it is; inside JSON; inside JSON that is text in JSON; in a query.
    const spellings = [secret, escaped, JSON.stringify(escaped).slice(1, -1), encodeURIComponent(secret)];
    this.#known.delete(secret);
    this.#known.set(secret, [...new Set(spellings)]);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }

  clean(text: string): string {
    let cleaned = text;
    for (const spellings of this.#known.values())
      for (const spelling of spellings) cleaned = cleaned.replaceAll(spelling, HIDDEN);
    for (const [pattern, kept] of SHAPES) cleaned = cleaned.replace(pattern, `${kept}${HIDDEN}`);
    return cleaned;
  }
}
