/** Names that a value worth hiding goes by, in any spelling. */
const NAMES =
  'authorization|proxy-authorization|cookie|set-cookie|x-amz-security-token|mcp-session-id|(?:aws_?)?secret_?access_?key|(?:aws_?)?session_?token';

/** Words where a secret could be: `Basic authentication`, `authorization: requests are signed`. */
const WORD = "[A-Za-z]?[a-z']+(?:-[a-z]+)*";
const NOT_A_WORD = `(?!${WORD}[.,;:!?]?(?![A-Za-z0-9+/=_~-]))`;
const ABSENCE = '(?:missing|required|absent|empty|none|null|undefined|invalid|expired|unknown|unset)';
const PROSE =
  'is|are|was|were|be|must|may|can|not|no|the|an|of|to|by|for|in|on|with|has|have|header|most|please';
const NOT_PROSE = `(?!(?:${WORD}[,;]? )?(?:${PROSE})\\b|${ABSENCE}\\b[.]?\\s*(?:$|["\\\\]))`;

/** The patterns of secrets, each with the part in front of it to keep. */
const SHAPES: readonly (readonly [pattern: RegExp, kept: string])[] = [
  [/(Signature=)[0-9a-f]{16,}/gi, '$1'],
  [/(Credential=)[^\s,"&]+/gi, '$1'],
  [/(X-Amz-(?:Signature|Credential|Security-Token)=)[^\s&"\\]+/gi, '$1'],
  [new RegExp(`(\\b(?:Bearer|Basic)\\s+)${NOT_A_WORD}[A-Za-z0-9+/=._~-]{8,}`, 'g'), '$1'],
  [new RegExp(`("(?:${NAMES})"\\s*:\\s*")(?:[^"\\\\]|\\\\.)*`, 'gi'), '$1'],
  // The same in JSON that stands as text in JSON, however deep: the value ends at a quote that is
  // escaped as its name's.
  [new RegExp(`((?<!\\\\)(\\\\+)"(?:${NAMES})\\2"\\s*:\\s*\\2")(?:(?!(?<!\\\\)\\2").)*`, 'gi'), '$1'],
  // And as header lines, or as they stand in ~/.aws/credentials and in the environment.
  [new RegExp(`((?:${NAMES})'?[ \\t]*[:=][ \\t]*)${NOT_PROSE}[^\\s"\\\\,&][^"\\\\\\r\\n]*`, 'gi'), '$1'],
  // Session tokens of STS start like this.
  [/\b(?:IQoJ|FwoG|FQoG|AQoD)[A-Za-z0-9+/=%]{40,}/g, ''],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b/g, ''],
  [/(:\/\/[^\s/:@"]+:)[^\s/@"]+(?=@)/g, '$1'],
];

const HIDDEN = '[redacted]';

/** Refreshes bring new secrets for as long as the process lives; the oldest have long expired. */
const MAX_KNOWN = 64;
/** Shorter values would hit words that are no secrets. */
const MIN_SECRET = 8;

/** Minimum length of a configured secret: shorter values are common words. */
const MIN_LASTING = 6;
/** More than any settings hold; a token file may have many lines, and is re-read. */
const MAX_LASTING = 1_000;

/** Cookies and session ids change with each response of some servers; the latest count. */
const MAX_BRIEF = 64;
/** The server chooses them: a word of the log as a cookie must not be removed from the log. */
const BRIEF_SECRET = /^(?=.*\d)[^\s"]{12,}$/;

/** Removes known secrets, and whatever looks like one, from text. */
export class Redactor {
  /** Each secret with its spellings in JSON and URLs. */
  readonly #known = new Map<string, readonly string[]>();
  /** Cookies and session ids, which must not displace credentials. */
  readonly #brief = new Map<string, readonly string[]>();
  /** Secrets of the settings, kept for the life of the process. */
  readonly #lasting = new Map<string, readonly string[]>();
  readonly #all = [this.#lasting, this.#known, this.#brief];

  /**
   * @param lasting - true for a secret of the settings, which is never forgotten and may be
   * shorter.
   * @param brief - true for one that the server has chosen, such as a cookie.
   */
  learn(secret: string, { lasting = false, brief = false } = {}): void {
    if (brief ? !BRIEF_SECRET.test(secret) : secret.length < (lasting ? MIN_LASTING : MIN_SECRET)) return;
    const escaped = JSON.stringify(secret).slice(1, -1);
    // Plain, in JSON, in JSON within JSON, and URL-encoded.
    const spellings = [secret, escaped, JSON.stringify(escaped).slice(1, -1), encodeURIComponent(secret)];
    if (lasting) {
      if (this.#lasting.size < MAX_LASTING) this.#lasting.set(secret, [...new Set(spellings)]);
      return;
    }
    const known = brief ? this.#brief : this.#known;
    known.delete(secret);
    known.set(secret, [...new Set(spellings)]);
    const [oldest] = known.keys();
    if (known.size > (brief ? MAX_BRIEF : MAX_KNOWN) && oldest !== undefined) known.delete(oldest);
  }

  /** Removes known secrets only. */
  withoutKnown(text: string, shown: (spelling: string) => string = () => HIDDEN): string {
    let cleaned = text;
    for (const secrets of this.#all)
      for (const spellings of secrets.values())
        for (const spelling of spellings)
          if (cleaned.includes(spelling)) cleaned = cleaned.replaceAll(spelling, () => shown(spelling));
    return cleaned;
  }

  /** True where the text contains a known secret. Cheaper than `withoutKnown`: it makes no text. */
  hasKnown(text: string): boolean {
    for (const secrets of this.#all)
      for (const spellings of secrets.values())
        for (const spelling of spellings) if (text.includes(spelling)) return true;
    return false;
  }

  /** The text without known secrets and without what looks like one. */
  clean(text: string): string {
    let cleaned = this.withoutKnown(text);
    for (const [pattern, kept] of SHAPES) cleaned = cleaned.replace(pattern, `${kept}${HIDDEN}`);
    return cleaned;
  }

  /** As `clean`, with as many characters as before: each secret becomes asterisks. */
  masked(text: string): string {
    let masked = this.withoutKnown(text, (spelling) => '*'.repeat(spelling.length));
    for (const [pattern, kept] of SHAPES) {
      masked = masked.replace(pattern, (whole: string, first: unknown) => {
        const keep = kept === '' ? '' : String(first);
        return keep + '*'.repeat(whole.length - keep.length);
      });
    }
    return masked;
  }

  /** Where the text may end with the first part of a known secret; its length where it does not. */
  secretStart(text: string): number {
    let start = text.length;
    for (const secrets of this.#all)
      for (const spellings of secrets.values())
        for (const spelling of spellings) start = Math.min(start, partialStart(text, spelling));
    return start;
  }
}

function partialStart(text: string, secret: string): number {
  const [first = ''] = secret;
  const from = Math.max(0, text.length - secret.length + 1);
  for (let at = text.indexOf(first, from); at >= 0; at = text.indexOf(first, at + 1)) {
    if (secret.startsWith(text.slice(at))) return at;
  }
  return text.length;
}
