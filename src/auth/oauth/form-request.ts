import type { AuthorizationServerMetadata } from '@modelcontextprotocol/client';
import { privateKeyAuthentication } from './client-identity.ts';
import type { RegisteredClient } from './login-record.ts';
import type { OAuthDeps } from './oauth-deps.ts';

/**
 * Sends a form to an endpoint for which the SDK has no function, and authenticates the client as
 * at the token endpoint.
 */
export async function postForm(
  { settings, sdk, fetch }: OAuthDeps,
  url: string,
  form: Readonly<Record<string, string>>,
  client: RegisteredClient,
  metadata: AuthorizationServerMetadata | undefined,
): Promise<Response> {
  const headers = new Headers({
    'content-type': 'application/x-www-form-urlencoded',
    accept: 'application/json',
  });
  const params = new URLSearchParams(form);
  const addAuthentication = await privateKeyAuthentication(settings, sdk, metadata);
  const { client_id: id, client_secret: secret } = client;
  if (addAuthentication) await addAuthentication(headers, params, url, metadata);
  else if (secret !== undefined && usesBasic(sdk, client, metadata)) {
    headers.set('authorization', `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`);
  } else {
    params.set('client_id', id);
    if (secret !== undefined) params.set('client_secret', secret);
  }
  return fetch(url, { method: 'POST', headers, body: params });
}

const usesBasic = (
  sdk: OAuthDeps['sdk'],
  client: RegisteredClient,
  metadata: AuthorizationServerMetadata | undefined,
): boolean =>
  sdk.selectClientAuthMethod(client, metadata?.token_endpoint_auth_methods_supported ?? []) ===
  'client_secret_basic';
