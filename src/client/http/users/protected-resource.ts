import { ProxyError } from '../../../core/errors/errors.ts';
import type { HttpRefusal } from '../admission.ts';
import type { UserSettings } from './options.ts';
import type { TokenProblem } from './token-verifier.ts';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** Sent to clients as Retry-After while the issuer cannot be reached. */
const RETRY_AFTER_S = 5;

export interface ResourceRules extends UserSettings {
  /** The path of MCP without a trailing slash. */
  readonly path: string;
  readonly scheme: 'http' | 'https';
  /** True where static tokens are accepted as well. */
  readonly takesTokens: boolean;
}

/**
 * The URL that clients know the listener by: an audience that is a URL, else derived from the Host
 * header, which the listener has checked.
 */
export function resourceUrl({ audiences, path, scheme }: ResourceRules, host: string): string {
  const derived = `${scheme}://${host}${path}`;
  return audiences.find(isHttpUrl) ?? (URL.canParse(derived) ? derived : `${scheme}://localhost${path}`);
}

const isHttpUrl = (text: string): boolean => /^https?:\/\//i.test(text) && URL.canParse(text);

/** The URL of the metadata of a resource (RFC 9728, 3.1). */
export function resourceMetadataUrl(resource: string): string {
  const { origin, pathname, search } = new URL(resource);
  return `${origin}${WELL_KNOWN}${pathname === '/' ? '' : pathname}${search}`;
}

/** True for the paths of the metadata: with the path of the resource, and without. */
export function isMetadataPath(path: string, rules: ResourceRules): boolean {
  if (!path.startsWith(WELL_KNOWN)) return false;
  const rest = path.slice(WELL_KNOWN.length).replace(/\/$/, '');
  const named = rules.audiences.find(isHttpUrl);
  // The paths of further profiles are below the path of MCP.
  return (
    ['', rules.path, named && new URL(named).pathname.replace(/\/$/, '')].includes(rest) ||
    rest.startsWith(`${rules.path}/`)
  );
}

/** The protected resource metadata (RFC 9728) as JSON text. */
export const resourceMetadata = (rules: ResourceRules, host: string): string =>
  JSON.stringify({
    resource: resourceUrl(rules, host),
    authorization_servers: [rules.issuer],
    bearer_methods_supported: ['header'],
    ...(rules.scopes.length > 0 ? { scopes_supported: rules.scopes } : {}),
  });

/** A quoted-string of RFC 6750: printable ASCII without quotes and backslashes. */
const quotable = (text: string): string => text.replaceAll(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?');

/**
 * The response to a request without a valid access token, as RFC 6750 and the MCP authorization
 * specification have it.
 * @param problem - undefined: the request presents no token.
 */
export function userRefusal(
  problem: TokenProblem | undefined,
  rules: ResourceRules,
  host: string,
): HttpRefusal {
  if (problem?.problem === 'unavailable') {
    const retryAfterMs = RETRY_AFTER_S * 1_000;
    const error = new ProxyError('issuer-unreachable', problem.message, { sent: 'no', retryAfterMs });
    return { status: 503, headers: { 'retry-after': String(RETRY_AFTER_S) }, error };
  }
  const scope = rules.scopes.join(' ');
  const lacksScope = problem?.problem === 'scope';
  const error = lacksScope ? 'insufficient_scope' : 'invalid_token';
  const parameters = {
    ...(problem ? { error, error_description: problem.message } : {}),
    ...(scope === '' ? {} : { scope }),
    resource_metadata: resourceMetadataUrl(resourceUrl(rules, host)),
  };
  const challenge = Object.entries(parameters).map(([name, value]) => `${name}="${quotable(value)}"`);
  const message = problem?.message ?? 'This listener needs a bearer token.';
  return {
    status: lacksScope ? 403 : 401,
    headers: { 'www-authenticate': `Bearer ${challenge.join(', ')}` },
    error: new ProxyError('client-refused', `${message} ${remedy(rules)}`, { sent: 'no' }),
  };
}

const remedy = ({ issuer, scopes, takesTokens }: ResourceRules): string => {
  const needed = scopes.length > 0 ? ` with the scope ${scopes.join(' ')}` : '';
  const others = takesTokens ? ', or a token of --listen-token or --listen-token-file' : '';
  return `Send an access token of ${issuer}${needed} as bearer token${others}.`;
};
