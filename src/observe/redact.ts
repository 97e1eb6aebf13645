/** What a secret looks like wherever it stands, with the part to keep in front of it. */
const SHAPES: readonly (readonly [pattern: RegExp, kept: string])[] = [
  [/(Signature=)[0-9a-f]{16,}/gi, '$1'],
  [/(Credential=)[^\s,"&]+/gi, '$1'],
  [/(X-Amz-(?:Signature|Credential|Security-Token)=)[^\s&"\\]+/gi, '$1'],
  [/(\b(?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]{8,}/g, '$1'],
  [
    /("(?:authorization|cookie|set-cookie|x-amz-security-token|proxy-authorization|mcp-session-id|secretAccessKey|sessionToken|aws_secret_access_key|aws_session_token|SecretAccessKey|SessionToken)"\s*:\s*")(?:[^"\\]|\\.)*/gi,
    '$1',
  ],
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
  readonly #known = new Set<string>();

  learn(secret: string): void {
    if (secret.length < SHORTEST_SECRET) return;
    this.#known.add(secret);
    // Inside JSON a secret is escaped.
    this.#known.add(JSON.stringify(secret).slice(1, -1));
    while (this.#known.size > MAX_KNOWN)
      for (const oldest of this.#known) return void this.#known.delete(oldest);
  }

  clean(text: string): string {
    let cleaned = text;
    for (const secret of this.#known)
      if (cleaned.includes(secret)) cleaned = cleaned.replaceAll(secret, HIDDEN);
    for (const [pattern, kept] of SHAPES) cleaned = cleaned.replace(pattern, `${kept}${HIDDEN}`);
    return cleaned;
  }
}
