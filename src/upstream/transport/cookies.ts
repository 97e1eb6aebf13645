import type { CookieJar } from 'tough-cookie';

/**
 * As many as browsers keep for one site at least (RFC 6265, 6.1); a load balancer sets one to four.
 */
const MAX_COOKIES = 50;
/** Bounds all cookies of one session together, with their attributes. */
const MAX_JAR_BYTES = 16 * 1024;
/** Servers refuse headers of twice that; nothing is sent that would make a request fail. */
const MAX_HEADER_BYTES = 8_192;
/** The memory of a cookie in the jar beside its text. */
const COOKIE_BYTES = 256;

/**
 * The cookies that one endpoint has set for one session: in memory, sent to that endpoint only, and
 * in no log.
 */
export class Cookies {
  readonly #url: string;
  #jar: CookieJar | undefined;
  /** The size of each, by name, domain and path. */
  readonly #sizes = new Map<string, number>();
  #bytes = 0;

  constructor(url: string) {
    this.#url = url;
  }

  get bytes(): number {
    return this.#bytes + this.#sizes.size * COOKIE_BYTES;
  }

  /** Stores cookies of `Set-Cookie` headers; invalid ones, and those without room, are ignored. */
  async keep(lines: readonly string[]): Promise<void> {
    const { Cookie, CookieJar } = await import('tough-cookie');
    // A cookie returns to this endpoint only, whatever domain it names, so that no list of public
    // suffixes is needed.
    this.#jar ??= new CookieJar(undefined, { rejectPublicSuffixes: false });
    for (const line of lines) {
      const cookie = line.length > MAX_JAR_BYTES ? undefined : Cookie.parse(line);
      if (!cookie) continue;
      const key = `${cookie.key};${cookie.domain ?? ''};${cookie.path ?? ''}`;
      const before = this.#sizes.get(key);
      if (before === undefined && this.#sizes.size >= MAX_COOKIES) continue;
      const bytes = this.#bytes - (before ?? 0) + line.length;
      if (bytes > MAX_JAR_BYTES) continue;
      if (!this.#jar.setCookieSync(cookie, this.#url, { ignoreError: true })) continue;
      this.#sizes.set(key, line.length);
      this.#bytes = bytes;
    }
  }

  /** The value of the `Cookie` header; undefined where there is nothing to send. */
  get header(): string | undefined {
    const header = this.#jar?.getCookieStringSync(this.#url);
    return header && header.length <= MAX_HEADER_BYTES ? header : undefined;
  }
}
