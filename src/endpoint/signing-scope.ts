import { readProfileFacts } from '../auth/credentials/shared-files.ts';
import { regionProblem } from '../auth/region-name.ts';
import type { SigningScope } from '../auth/signing.ts';
import { scopeOfHost } from './endpoint.ts';

/**
 * A scope, and where its service and region come from: a flag, a variable, the host, the profile.
 */
export interface FoundScope {
  readonly scope: SigningScope;
  readonly from: Readonly<Record<keyof SigningScope, string>>;
}

export interface ScopeSources {
  readonly endpoint: URL;
  readonly service: string | undefined;
  readonly region: string | undefined;
  /** The flag or variable that named the service and the region. */
  readonly from: { readonly service?: string; readonly region?: string };
  readonly profile: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Finds the region in this order: --region, host, AWS_REGION, AWS_DEFAULT_REGION, profile. Reads
 * the profile's file only if nothing else names a region. Never throws.
 */
export async function findSigningScope(
  sources: ScopeSources,
): Promise<FoundScope | { readonly problems: readonly string[] }> {
  const { endpoint, from, profile, env } = sources;
  const ofHost = scopeOfHost(endpoint.hostname);
  const service = sources.service ?? ofHost.service;
  const candidates: readonly (readonly [region: string | undefined, from: string])[] = [
    [sources.region, from.region ?? ''],
    [ofHost.region, HOST],
    [env.AWS_REGION, 'AWS_REGION'],
    [env.AWS_DEFAULT_REGION, 'AWS_DEFAULT_REGION'],
  ];
  const [region, regionFrom] = candidates.find(([each]) => each) ?? [
    (await readProfileFacts(profile || undefined, env)).region,
    PROFILE,
  ];
  const problems: string[] = [];
  const problem = regionFrom === PROFILE ? regionProblem(region) : undefined;
  if (problem !== undefined)
    problems.push(`region of profile ${JSON.stringify(profile || env.AWS_PROFILE || 'default')} ${problem}`);
  const missing = [...(service ? [] : ['--service <name>']), ...(region ? [] : ['--region <region>'])];
  if (missing.length > 0) {
    problems.push(
      `${missing.join(' and ')} must be given: the host ${endpoint.hostname} does not determine what to sign for (--auth none sends requests unsigned)`,
    );
  }
  if (problems.length > 0 || !service || !region) return { problems };
  return { scope: { service, region }, from: { service: from.service ?? HOST, region: regionFrom } };
}

const HOST = 'the host';
const PROFILE = 'the profile';
