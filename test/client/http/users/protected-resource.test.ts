import { describe, expect, it } from 'vitest';
import {
  isMetadataPath,
  type ResourceRules,
  resourceMetadata,
  resourceMetadataUrl,
  resourceUrl,
  userRefusal,
} from '../../../../src/client/http/users/protected-resource.ts';

const RULES: ResourceRules = {
  issuer: 'https://auth.example',
  audiences: ['mcp', 'https://mcp.example.com/tools/mcp'],
  scopes: ['mcp:read', 'mcp:call'],
  path: '/mcp',
  scheme: 'http',
  takesTokens: false,
};
const UNNAMED: ResourceRules = { ...RULES, audiences: ['mcp'], scopes: [] };

it.each([
  ['the audience that is a URL', RULES, 'x', 'https://mcp.example.com/tools/mcp'],
  ['the host and path of the request', UNNAMED, 'localhost:8080', 'http://localhost:8080/mcp'],
  ['https with TLS', { ...UNNAMED, scheme: 'https' as const }, 'a.example', 'https://a.example/mcp'],
  ['localhost where the host is no host', UNNAMED, 'a b', 'http://localhost/mcp'],
])('the resource is named by %s', (_kind, rules, host, url) => {
  expect(resourceUrl(rules, host)).toBe(url);
});

it.each([
  ['https://mcp.example.com/mcp', 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp'],
  ['https://mcp.example.com', 'https://mcp.example.com/.well-known/oauth-protected-resource'],
  ['https://mcp.example.com/', 'https://mcp.example.com/.well-known/oauth-protected-resource'],
  ['https://a.example/m?x=1', 'https://a.example/.well-known/oauth-protected-resource/m?x=1'],
])('the metadata of the resource %s is at %s (RFC 9728, 3.1)', (resource, url) => {
  expect(resourceMetadataUrl(resource)).toBe(url);
});

it.each([
  ['/.well-known/oauth-protected-resource', true],
  ['/.well-known/oauth-protected-resource/', true],
  ['/.well-known/oauth-protected-resource/mcp', true],
  ['/.well-known/oauth-protected-resource/mcp/', true],
  ['/.well-known/oauth-protected-resource/tools/mcp', true],
  ['/.well-known/oauth-protected-resource/other', false],
  ['/.well-known/oauth-protected-resourcemcp', false],
  ['/.well-known/oauth-authorization-server', false],
  ['/mcp', false],
])('the path %s has the metadata: %s', (path, has) => {
  expect(isMetadataPath(path, RULES)).toBe(has);
});

it('the metadata names the resource, its authorization server and its scopes', () => {
  expect(JSON.parse(resourceMetadata(RULES, 'x'))).toEqual({
    resource: 'https://mcp.example.com/tools/mcp',
    authorization_servers: ['https://auth.example'],
    bearer_methods_supported: ['header'],
    scopes_supported: ['mcp:read', 'mcp:call'],
  });
  expect(JSON.parse(resourceMetadata(UNNAMED, 'x'))).not.toHaveProperty('scopes_supported');
});

describe('the challenge', () => {
  const METADATA =
    'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/tools/mcp"';

  it('a challenge without a token names the metadata and the scope, and no error (RFC 6750, 3.1)', () => {
    const { status, headers } = userRefusal(undefined, RULES, 'x');
    expect([status, headers]).toEqual([
      401,
      { 'www-authenticate': `Bearer scope="mcp:read mcp:call", ${METADATA}` },
    ]);
  });

  it('the challenge for an unusable token is invalid_token, with printable ASCII only', () => {
    const { status, headers } = userRefusal({ problem: 'invalid', message: 'a "b"\né' }, RULES, 'x');
    expect([status, headers['www-authenticate']]).toEqual([
      401,
      `Bearer error="invalid_token", error_description="a ?b???", scope="mcp:read mcp:call", ${METADATA}`,
    ]);
  });

  it('the challenge for a missing scope is 403 insufficient_scope', () => {
    const { status, headers } = userRefusal({ problem: 'scope', message: 'lacks' }, RULES, 'x');
    expect([status, headers['www-authenticate']]).toEqual([
      403,
      `Bearer error="insufficient_scope", error_description="lacks", scope="mcp:read mcp:call", ${METADATA}`,
    ]);
  });

  it('the challenge is absent while the issuer is unreachable: a login would not help', () => {
    const { status, headers, error } = userRefusal({ problem: 'unavailable', message: 'x' }, RULES, 'x');
    expect([status, headers, error.reason]).toEqual([503, { 'retry-after': '5' }, 'issuer-unreachable']);
  });
});
