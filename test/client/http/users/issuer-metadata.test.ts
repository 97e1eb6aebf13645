import { describe, expect, it } from 'vitest';
import {
  findKeysUrl,
  metadataUrls,
  readMetadata,
} from '../../../../src/client/http/users/issuer-metadata.ts';

const WELL_KNOWN = '.well-known';

it.each([
  [
    'https://auth.example',
    [
      `https://auth.example/${WELL_KNOWN}/oauth-authorization-server`,
      `https://auth.example/${WELL_KNOWN}/openid-configuration`,
    ],
  ],
  [
    'https://auth.example/',
    [
      `https://auth.example/${WELL_KNOWN}/oauth-authorization-server`,
      `https://auth.example/${WELL_KNOWN}/openid-configuration`,
    ],
  ],
  [
    'https://auth.example/tenant',
    [
      `https://auth.example/${WELL_KNOWN}/oauth-authorization-server/tenant`,
      `https://auth.example/${WELL_KNOWN}/openid-configuration/tenant`,
      `https://auth.example/tenant/${WELL_KNOWN}/openid-configuration`,
    ],
  ],
])('the metadata of the issuer %s is looked for where MCP says', (issuer, urls) => {
  expect(metadataUrls(issuer).map(({ href }) => href)).toEqual(urls);
});

describe('issuer metadata', () => {
  const ISSUER = 'https://auth.example';
  const text = (changes: object) =>
    JSON.stringify({ issuer: ISSUER, jwks_uri: 'https://keys.example/jwks', ...changes });

  it('metadata of the issuer names the URL of its keys', () => {
    expect(readMetadata(text({}), ISSUER)).toEqual({ jwksUri: new URL('https://keys.example/jwks') });
  });

  it.each([
    ['of another issuer', text({ issuer: 'https://evil.example' }), 'names the issuer'],
    ['of the issuer with a slash', text({ issuer: `${ISSUER}/` }), 'names the issuer'],
    ['without keys', text({ jwks_uri: undefined }), 'names no jwks_uri'],
    ['with keys over http', text({ jwks_uri: 'http://keys.example/jwks' }), 'is not an https URL'],
    ['with keys in a file', text({ jwks_uri: 'file:///etc/jwks' }), 'is not an https URL'],
    ['that is HTML', '<!doctype html>', 'is not a JSON object'],
    ['that is a list', '[]', 'is not a JSON object'],
  ])('metadata %s is not used', (_kind, given, problem) => {
    expect(readMetadata(given, ISSUER)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it('OpenID Connect metadata is used where there is no RFC 8414 metadata, and a failure names both', async () => {
    const seen: string[] = [];
    const get = async ({ pathname }: URL) => {
      seen.push(pathname);
      return pathname.endsWith('openid-configuration')
        ? { status: 200, text: text({}) }
        : { status: 404, text: '' };
    };
    const { signal } = new AbortController();
    expect((await findKeysUrl(ISSUER, get, signal)).href).toBe('https://keys.example/jwks');
    expect(seen.length).toBe(2);
    await expect(findKeysUrl(ISSUER, async () => ({ status: 302, text: '' }), signal)).rejects.toThrow(
      /oauth-authorization-server: it was answered with 302; .*openid-configuration/,
    );
  });
});
