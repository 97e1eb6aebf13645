import { describe, expect, it } from 'vitest';
import { tryOAuth } from './suite.ts';

/** The scenarios that are the same in both revisions. */
const COMMON = [
  'metadata-default',
  'metadata-var1',
  'metadata-var2',
  'metadata-var3',
  'basic-cimd',
  'scope-from-www-authenticate',
  'scope-from-scopes-supported',
  'scope-omitted-when-undefined',
  'scope-step-up',
  'scope-retry-limit',
  'token-endpoint-auth-basic',
  'token-endpoint-auth-post',
  'token-endpoint-auth-none',
  'pre-registration',
];

/** All scenarios of authorization in the suite, by revision. */
const SCENARIOS: Readonly<Record<string, readonly string[]>> = {
  '2025-03-26': ['2025-03-26-oauth-metadata-backcompat', '2025-03-26-oauth-endpoint-fallback'],
  '2025-11-25': COMMON,
  '2026-07-28': [
    ...COMMON,
    'resource-mismatch',
    'offline-access-scope',
    'offline-access-not-supported',
    'authorization-server-migration',
    'iss-supported',
    'iss-not-advertised',
    'iss-supported-missing',
    'iss-wrong-issuer',
    'iss-unexpected',
    'iss-normalized',
    'metadata-issuer-mismatch',
  ],
};

/**
 * Extensions that the proxy implements. It does not implement DPoP, enterprise-managed
 * authorization and workload identity federation.
 */
const EXTENSIONS = ['client-credentials-jwt', 'client-credentials-basic'];

const runs: readonly (readonly [scenario: string, revision: string | undefined])[] = [
  ...Object.entries(SCENARIOS).flatMap(([revision, names]) => names.map((name) => [name, revision] as const)),
  ...EXTENSIONS.map((name) => [name, undefined] as const),
];

describe.concurrent('--auth oauth', () => {
  it.each(runs)('--auth oauth passes the scenario %s of revision %s', async (scenario, revision) => {
    const checks = await tryOAuth(revision, `auth/${scenario}`);
    expect(checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING')).toEqual([]);
    expect(checks.some(({ status }) => status === 'SUCCESS')).toBe(true);
  });
});
