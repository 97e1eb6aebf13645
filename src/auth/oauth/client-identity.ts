import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type {
  AddClientAuthentication,
  AuthorizationServerMetadata,
  OAuthClientMetadata,
} from '@modelcontextprotocol/client';
import { causeText } from '../../core/errors/errors.ts';
import { REPOSITORY } from '../../version.ts';
import { type Discovery, MetadataError } from './discovery.ts';
import type { RegisteredClient } from './login-record.ts';
import type { OAuthDeps } from './oauth-deps.ts';
import { isMetadataUrl, type OAuthSettings } from './oauth-settings.ts';
import type { OAuthSdk } from './sdk.ts';

/** The grant type of the device flow (RFC 8628). */
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** The grants that a registered client is allowed to use, by flow. */
const GRANTS: Readonly<Record<'code' | 'device', readonly string[]>> = {
  code: ['authorization_code', 'refresh_token'],
  device: [DEVICE_GRANT, 'refresh_token'],
};

/** A mistake in the options or the environment, which the user can correct. */
export class ClientConfigError extends Error {
  override readonly name = 'ClientConfigError';
}

/**
 * The client of the options; undefined where the proxy registers itself, or uses a client id
 * metadata document where the server supports that.
 * @throws ClientConfigError if the variable of the secret is empty.
 */
export function configuredClient({
  clientId,
  clientSecretEnv,
  issuer,
  variables,
}: Pick<OAuthSettings, 'clientId' | 'clientSecretEnv' | 'issuer' | 'variables'>):
  | RegisteredClient
  | undefined {
  if (clientId === undefined || isMetadataUrl(clientId)) return undefined;
  if (clientSecretEnv === undefined) return { client_id: clientId, ...(issuer ? { issuer } : {}) };
  const secret = variables[clientSecretEnv];
  if (!secret)
    throw new ClientConfigError(
      `the variable ${clientSecretEnv} of --oauth-client-secret-env is empty or not set`,
    );
  return { client_id: clientId, client_secret: secret, ...(issuer ? { issuer } : {}) };
}

/**
 * Obtains a client for a login: the metadata document of --oauth-client-id where the server
 * supports such documents, else a new registration.
 * @throws MetadataError if the server offers neither; RegistrationRejectedError of the SDK.
 */
export async function obtainClient(
  { settings, sdk, fetch }: OAuthDeps,
  { metadata, authorizationServer }: Discovery,
  request: {
    readonly flow: 'code' | 'device';
    readonly redirectUri: string | undefined;
    readonly scope: string | undefined;
  },
): Promise<RegisteredClient> {
  const issuer = metadata?.issuer ?? authorizationServer;
  const supportsDocuments = metadata?.client_id_metadata_document_supported === true;
  if (isMetadataUrl(settings.clientId) && supportsDocuments) return { client_id: settings.clientId, issuer };
  if (metadata && metadata.registration_endpoint === undefined)
    throw new MetadataError(
      `the authorization server ${issuer} registers no clients: register mcp-sigv4-proxy there, and pass its client id with --oauth-client-id`,
    );
  const { flow, redirectUri, scope } = request;
  const register = (scopes: { readonly scope?: string }) =>
    sdk.registerClient(authorizationServer, {
      ...(metadata ? { metadata } : {}),
      clientMetadata: clientMetadata(flow, redirectUri, metadata),
      ...scopes,
      fetchFn: fetch,
    });
  const registered = await register(scope === undefined ? {} : { scope }).catch((error: unknown) => {
    // Some servers refuse to register scopes of resources, although they grant them.
    if (scope !== undefined && error instanceof sdk.RegistrationRejectedError) return register({});
    throw error;
  });
  const redirects = redirectUri === undefined ? {} : { redirect_uris: [redirectUri] };
  return { ...redirects, ...registered, issuer };
}

/** The registration of the proxy at an authorization server (RFC 7591). */
export function clientMetadata(
  flow: 'code' | 'device',
  redirectUri: string | undefined,
  server: AuthorizationServerMetadata | undefined,
): OAuthClientMetadata {
  return {
    client_name: 'mcp-sigv4-proxy',
    client_uri: REPOSITORY,
    redirect_uris: redirectUri === undefined ? [] : [redirectUri],
    grant_types: [...GRANTS[flow]],
    response_types: flow === 'code' ? ['code'] : [],
    token_endpoint_auth_method: authMethod(server?.token_endpoint_auth_methods_supported),
    application_type: 'native',
  };
}

/** `none` if the server permits it, because a program on a user's machine cannot keep a secret. */
const authMethod = (supported: readonly string[] | undefined): string =>
  !supported || supported.includes('none')
    ? 'none'
    : (['client_secret_basic', 'client_secret_post'].find((method) => supported.includes(method)) ?? 'none');

/** The algorithms of each key type, the most common one first. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  rsa: ['RS256', 'PS256', 'RS384', 'RS512'],
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
};

/**
 * Authenticates the client by a JWT that it signs (`private_key_jwt`, RFC 7523); undefined without
 * --oauth-private-key.
 * @throws ClientConfigError if the file has no usable private key.
 */
export async function privateKeyAuthentication(
  { clientId = '', privateKey }: Pick<OAuthSettings, 'clientId' | 'privateKey'>,
  sdk: OAuthSdk,
  server: AuthorizationServerMetadata | undefined,
): Promise<AddClientAuthentication | undefined> {
  if (privateKey === undefined) return undefined;
  const key = await readKey(privateKey);
  const type = key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : key.asymmetricKeyType;
  const algorithms = ALGORITHMS[type ?? ''];
  if (!algorithms)
    throw new ClientConfigError(
      `the key in ${privateKey} (--oauth-private-key) must be an RSA key or an EC key on P-256, P-384 or P-521`,
    );
  const accepted = server?.token_endpoint_auth_signing_alg_values_supported;
  const alg = algorithms.find((name) => !accepted || accepted.includes(name)) ?? algorithms[0] ?? '';
  const pem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  return sdk.createPrivateKeyJwtAuth({ issuer: clientId, subject: clientId, privateKey: pem, alg });
}

async function readKey(path: string): Promise<KeyObject> {
  try {
    return createPrivateKey(await readFile(path));
  } catch (error) {
    throw new ClientConfigError(`--oauth-private-key ${path} cannot be read: ${causeText(error)}`);
  }
}
