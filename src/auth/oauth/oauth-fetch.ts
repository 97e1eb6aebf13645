import { causeText } from '../../core/errors/errors.ts';
import { oauthUrlProblem } from './oauth-urls.ts';

/** A `fetch` for short JSON requests. */
export type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/**
 * A request of OAuth without a usable answer. It is a TypeError, which the MCP SDK does not treat
 * as missing metadata.
 */
export class OAuthFetchError extends TypeError {
  override readonly name = 'OAuthFetchError';
  /** False if the answer or the URL is wrong, so that another attempt would fail too. */
  readonly temporary: boolean;

  constructor(message: string, temporary: boolean, cause?: unknown) {
    super(message, { cause });
    this.temporary = temporary;
  }
}

/** The part of a URL that may be shown: origin and path. */
const shown = (url: URL): string => `${url.origin}${url.pathname}`;

const isHtml = (response: Response): boolean =>
  /^\s*(text\/html|application\/xhtml\+xml)\b/i.test(response.headers.get('content-type') ?? '');

/**
 * Creates the `fetch` for all requests of OAuth. It refuses unsafe URLs and HTML answers.
 * @param endpoint - the MCP server that the user named.
 */
export function createOAuthFetch(fetch: Fetch, endpoint: URL, signal?: AbortSignal): Fetch {
  return async (input, init) => {
    signal?.throwIfAborted();
    const url = new URL(input);
    const problem = oauthUrlProblem(url, endpoint);
    if (problem !== undefined)
      throw new OAuthFetchError(`the URL ${shown(url)} of the OAuth metadata is refused: ${problem}`, false);
    let response: Response;
    try {
      response = await fetch(url, signal ? { ...init, signal } : init);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw new OAuthFetchError(`${shown(url)} returned no usable answer: ${causeText(error)}`, true, error);
    }
    if (!isHtml(response)) return response;
    // A web application answers every path with its page.
    if ((init?.method ?? 'GET') === 'GET') return new Response(null, { status: 404 });
    throw new OAuthFetchError(
      `${shown(url)} answered with a web page and status ${response.status} instead of JSON`,
      response.status >= 500,
    );
  };
}
