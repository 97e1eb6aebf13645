import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The authorization response, which the browser delivers (RFC 6749, section 4.1.2). */
export type AuthorizationResponse = URLSearchParams;

/** A server on this machine that receives the redirect after the login. */
export interface RedirectServer {
  /** The redirect URI, with the port. */
  readonly url: string;
  /** Resolves with the first response that has the right state. */
  readonly response: Promise<AuthorizationResponse>;
  /** Shows the outcome in the browser, then closes the server. */
  finish(outcome: RedirectOutcome): Promise<void>;
}

export interface RedirectOutcome {
  readonly ok: boolean;
  /** Text of the proxy. It contains nothing that a server or a browser sent. */
  readonly text: string;
}

/** Longer than any code and state; Node refuses longer headers itself. */
const MAX_URL_CHARACTERS = 16 * 1024;

/**
 * Listens at the redirect URI, at a free port unless it names one. Accepts one response with the
 * state; others are refused, so that a page in the browser cannot end the login.
 * @throws Error of the system, such as EADDRINUSE.
 */
export async function openRedirectServer(
  redirectUri: string,
  state: string,
  port?: number,
): Promise<RedirectServer> {
  const wanted = new URL(redirectUri);
  let accept: (response: AuthorizationResponse) => void = () => undefined;
  const response = new Promise<AuthorizationResponse>((resolve) => {
    accept = resolve;
  });
  let waiting: ServerResponse | undefined;
  const server = createServer({ maxHeaderSize: MAX_URL_CHARACTERS }, (request, reply) => {
    const found = responseIn(request, wanted, state);
    if (found === undefined || waiting) {
      reply.writeHead(found === undefined ? 404 : 410, HEADERS).end(page(PAGES.refused));
      return;
    }
    waiting = reply;
    accept(found);
  });
  await listen(server, wanted, port);
  const { port: bound } = server.address() as AddressInfo;
  const url = new URL(redirectUri);
  url.port = String(bound);
  return {
    url: url.href,
    response,
    async finish({ ok, text }) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      if (waiting) {
        const answered = waiting;
        await new Promise<void>((resolve) => {
          answered.once('close', resolve);
          answered
            .writeHead(ok ? 200 : 400, HEADERS)
            .end(page({ title: PAGES[ok ? 'done' : 'failed'].title, text }), () => resolve());
        });
      }
      server.closeIdleConnections();
      setImmediate(() => server.closeAllConnections());
      await closed;
    },
  };
}

/** Binds 127.0.0.1 for "localhost", which may mean 127.0.0.1 or ::1. */
function listen(server: Server, { hostname, port }: URL, preferred: number | undefined): Promise<void> {
  const host = hostname === 'localhost' ? '127.0.0.1' : hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Exclusive, because a worker must not share its port with the logins of other workers.
    const address = { port: port === '' ? (preferred ?? 0) : Number(port), host, exclusive: true };
    server.listen(address, () => resolve());
  });
}

function responseIn(
  { method, url = '', headers }: IncomingMessage,
  wanted: URL,
  state: string,
): AuthorizationResponse | undefined {
  if (method !== 'GET' || !URL.canParse(url, wanted.href)) return undefined;
  const { pathname, searchParams } = new URL(url, wanted);
  // With another Host, a web page reached this port by its own host name (DNS rebinding).
  const host = headers.host?.replace(/:\d+$/, '');
  const isIntended = pathname === wanted.pathname && host === wanted.hostname;
  return isIntended && searchParams.get('state') === state ? searchParams : undefined;
}

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  connection: 'close',
} as const;

const PAGES = {
  done: { title: 'Logged in' },
  failed: { title: 'Login failed' },
  refused: {
    title: 'Not expected',
    text: 'No login waits for this answer. Start the login again in the terminal.',
  },
} as const;

const escaped = (text: string): string => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const page = ({ title, text }: { readonly title: string; readonly text: string }): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escaped(title)} - mcp-sigv4-proxy</title>` +
  '<meta name="viewport" content="width=device-width"><style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}</style>' +
  `</head><body><main><h1>${escaped(title)}</h1><p>${escaped(text)}</p></main></body></html>`;
