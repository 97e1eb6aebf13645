import type {
  AuthorizationServerMetadata,
  OAuthProtectedResourceMetadata,
} from '@modelcontextprotocol/client';
import type { BearerChallenge } from './challenge.ts';
import { type Fetch, OAuthFetchError } from './oauth-fetch.ts';
import type { OAuthSettings } from './oauth-settings.ts';
import { oauthUrlProblem } from './oauth-urls.ts';
import type { OAuthSdk } from './sdk.ts';

/** The metadata that a login or a token request is based on. */
export interface Discovery {
  readonly authorizationServer: string;
  /** Undefined: the server publishes no metadata, and has the endpoints of revision 2025-03-26. */
  readonly metadata: AuthorizationServerMetadata | undefined;
  readonly resourceMetadataUrl: string | undefined;
  /** Undefined: the MCP server publishes none. */
  readonly resourceMetadata: OAuthProtectedResourceMetadata | undefined;
  /** The resource indicator (RFC 8707) of token requests. */
  readonly resource: string | undefined;
}

/** Metadata that must not be used. The user, or the operator of the server, has to act. */
export class MetadataError extends Error {
  override readonly name = 'MetadataError';
}

interface DiscoveryDeps {
  readonly settings: Pick<OAuthSettings, 'endpoint' | 'issuer'>;
  readonly sdk: OAuthSdk;
  /** From `createOAuthFetch`. */
  readonly fetch: Fetch;
}

/** True if two issuers are equal, except for one slash at the end. */
export const isSameIssuer = (one: string, other: string): boolean =>
  one.replace(/\/$/, '') === other.replace(/\/$/, '');

/**
 * Reads the metadata of the resource (RFC 9728) and of its authorization server (RFC 8414, OpenID
 * Connect Discovery), and checks that they belong together.
 * @throws MetadataError, OAuthFetchError, or an error of the SDK.
 */
export async function discover(
  { settings, sdk, fetch }: DiscoveryDeps,
  challenge: BearerChallenge | undefined,
): Promise<Discovery> {
  const { endpoint } = settings;
  const named = challenge?.resourceMetadataUrl;
  const resourceMetadata = await readResourceMetadata({ settings, sdk, fetch }, named);
  checkResource(sdk, endpoint, resourceMetadata);
  const authorizationServer = chooseServer(settings, resourceMetadata);
  const metadata = await sdk.discoverAuthorizationServerMetadata(authorizationServer, { fetchFn: fetch });
  checkServer(settings, authorizationServer, metadata);
  return {
    authorizationServer,
    metadata,
    resourceMetadataUrl: named,
    resourceMetadata,
    resource: resourceMetadata?.resource,
  };
}

async function readResourceMetadata(
  { settings, sdk, fetch }: DiscoveryDeps,
  named: string | undefined,
): Promise<OAuthProtectedResourceMetadata | undefined> {
  try {
    const options = named === undefined ? {} : { resourceMetadataUrl: named };
    return await sdk.discoverOAuthProtectedResourceMetadata(settings.endpoint, options, fetch);
  } catch (error) {
    if (error instanceof OAuthFetchError) throw error;
    // Servers of revision 2025-03-26 publish none, and are their own authorization server.
    return undefined;
  }
}

/** @throws MetadataError if the metadata is about another resource (RFC 9728, section 3.3). */
function checkResource(
  sdk: OAuthSdk,
  endpoint: URL,
  resourceMetadata: OAuthProtectedResourceMetadata | undefined,
): void {
  if (!resourceMetadata) return;
  const configuredResource = resourceMetadata.resource;
  const requestedResource = sdk.resourceUrlFromServerUrl(endpoint);
  if (URL.canParse(configuredResource) && sdk.checkResourceAllowed({ requestedResource, configuredResource }))
    return;
  throw new MetadataError(
    `the protected resource metadata of ${endpoint.host} is about another resource: ${shortened(configuredResource)}`,
  );
}

/** @throws MetadataError if the server does not name the authorization server of --oauth-issuer. */
function chooseServer(
  { endpoint, issuer }: DiscoveryDeps['settings'],
  resourceMetadata: OAuthProtectedResourceMetadata | undefined,
): string {
  const servers = resourceMetadata?.authorization_servers ?? [];
  if (issuer === undefined) return servers[0] ?? new URL('/', endpoint).href;
  const pinned = servers.find((server) => isSameIssuer(server, issuer));
  if (pinned !== undefined) return pinned;
  if (servers.length === 0) return issuer;
  throw new MetadataError(
    `${endpoint.host} names the authorization server ${shortened(servers.join(', '))}, but --oauth-issuer is ${issuer}`,
  );
}

/** @throws MetadataError for another issuer than expected, or an endpoint that must not be used. */
function checkServer(
  { endpoint, issuer }: DiscoveryDeps['settings'],
  authorizationServer: string,
  metadata: AuthorizationServerMetadata | undefined,
): void {
  const problem = URL.canParse(authorizationServer)
    ? oauthUrlProblem(new URL(authorizationServer), endpoint)
    : 'it is no URL';
  if (problem !== undefined)
    throw new MetadataError(
      `the authorization server ${shortened(authorizationServer)} is refused: ${problem}`,
    );
  if (!metadata) return;
  if (issuer !== undefined && !isSameIssuer(metadata.issuer, issuer))
    throw new MetadataError(
      `the authorization server has the issuer ${shortened(metadata.issuer)}, but --oauth-issuer is ${issuer}`,
    );
  for (const [name, url] of Object.entries(metadata)) {
    if (!USED_ENDPOINTS.has(name) || typeof url !== 'string') continue;
    const reason = URL.canParse(url) ? oauthUrlProblem(new URL(url), endpoint) : 'it is no URL';
    if (reason !== undefined)
      throw new MetadataError(`the ${name} ${shortened(url)} of the metadata is refused: ${reason}`);
  }
}

/** The endpoints that a login uses. Checked before the user logs in. */
const USED_ENDPOINTS: ReadonlySet<string> = new Set([
  'authorization_endpoint',
  'token_endpoint',
  'registration_endpoint',
  'device_authorization_endpoint',
]);

const MAX_SHOWN_CHARACTERS = 200;

const shortened = (text: string): string =>
  text.length > MAX_SHOWN_CHARACTERS ? `${text.slice(0, MAX_SHOWN_CHARACTERS)}...` : text;
