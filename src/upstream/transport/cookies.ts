import type { CookieJar } from 'tough-cookie';

/**
 * As many as browsers keep for one site at least (RFC 6265, 6.1); a load balancer sets one to four.
 */
const MAX_COOKIES = 50;
/** Longer ones are not kept (RFC 6265, 6.1). */
const MAX_COOKIE_BYTES = 4_096;
/** Servers refuse headers of twice that; nothing is sent that would make a request fail. */
const MAX_HEADER_BYTES = 8_192;

/**
 * The cookies that one endpoint has set for one session: in memory, sent to that endpoint only, and
 * in no log.
 */
export class Cookies {
  readonly #url: string;
  #jar: CookieJar | undefined;
  /** Their names, domains and paths. */
  readonly #known = new Set<string>();

  constructor(url: string) {
    this.#url = url;
  }

  /** Stores cookies of `Set-Cookie` headers; invalid ones are ignored. */
  async keep(lines: readonly string[]): Promise<void> {
    const { Cookie, CookieJar } = await import('tough-cookie');
    // Whatever domain a cookie names, it returns to this endpoint only, so that no list of public
    // suffixes is needed.
    this.#jar ??= new CookieJar(undefined, { rejectPublicSuffixes: false });
    for (const line of lines) {
      const cookie = line.length > MAX_COOKIE_BYTES ? undefined : Cookie.parse(line);
      if (!cookie) continue;
      const key = `${cookie.key};${cookie.domain ?? ''};${cookie.path ?? ''}`;
      if (!this.#known.has(key) && this.#known.size >= MAX_COOKIES) continue;
      const kept = this.#jar.setCookieSync(cookie, this.#url, { ignoreError: true });
      if (kept) this.#known.add(key);
    }
  }

  /** The value of the `Cookie` header; undefined where there is nothing to send. */
  get header(): string | undefined {
    const header = this.#jar?.getCookieStringSync(this.#url);
    return header && header.length <= MAX_HEADER_BYTES ? header : undefined;
  }
}
