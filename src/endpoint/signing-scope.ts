import { readProfileFacts } from '../auth/credentials/shared-files.ts';
import { isRegionName, regionProblem } from '../auth/region-name.ts';
import type { SigningScope } from '../auth/signing.ts';
import { scopeOfHost } from './endpoint.ts';

/**
 * A scope, and where its service and region come from: a flag, a variable, the host, the profile.
 */
export interface FoundScope {
  readonly scope: SigningScope;
  readonly from: Readonly<Record<keyof SigningScope, string>>;
  /** The region of requests to STS and CloudWatch; undefined if none is known. */
  readonly homeRegion: string | undefined;
  /** True if the region of the scope is a set of regions. */
  readonly isRegionSet: boolean;
}

export type ScopeOutcome = FoundScope | { readonly problems: readonly string[] };

export interface ScopeSources {
  readonly endpoint: URL;
  readonly service: string | undefined;
  readonly region: string | undefined;
  /** The flag or variable that named the service and the region. */
  readonly from: { readonly service?: string; readonly region?: string; readonly regionSet?: string };
  readonly profile: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Finds the scope for the kind of signature that the options and the host ask for. */
export function findScope(
  { auth, regionSet }: { readonly auth: string; readonly regionSet: readonly string[] },
  sources: ScopeSources,
): Promise<ScopeOutcome> {
  const hasSet = regionSet.length > 0 || isInSeveralRegions(sources.endpoint);
  return auth === 'sigv4a' || (auth === 'auto' && hasSet)
    ? findRegionSetScope(sources, regionSet)
    : findSigningScope(sources);
}

/**
 * Finds the region in this order: --region, host, AWS_REGION, AWS_DEFAULT_REGION, profile. Reads
 * the profile's file only if nothing else names a region. Never throws.
 */
export async function findSigningScope(sources: ScopeSources): Promise<ScopeOutcome> {
  const { endpoint, from } = sources;
  const service = serviceOf(sources);
  const found = await findRegion(sources);
  if ('problem' in found) return { problems: [found.problem, ...missing(sources, { service, region: '-' })] };
  const { region, from: regionFrom } = found;
  const problems = missing(sources, { service, region });
  if (!service || !region) {
    const isGlobal = isInSeveralRegions(endpoint);
    const hint = '; this endpoint is in several regions, for which --auth sigv4a signs';
    return { problems: isGlobal ? problems.map((problem) => `${problem}${hint}`) : problems };
  }
  const scope = { service, region };
  return {
    scope,
    homeRegion: region,
    isRegionSet: false,
    from: { service: from.service ?? HOST, region: regionFrom },
  };
}

/**
 * Finds the scope of SigV4A, whose region is the whole set. Never throws.
 * @param regionSet - the names; empty for all regions.
 */
export async function findRegionSetScope(
  sources: ScopeSources,
  regionSet: readonly string[],
): Promise<ScopeOutcome> {
  const { from } = sources;
  const service = serviceOf(sources);
  const found = await findRegion(sources);
  if ('problem' in found) return { problems: [found.problem] };
  if (!service) return { problems: missing(sources, { service, region: '-' }) };
  const region = regionSet.length === 0 ? '*' : regionSet.join(',');
  const homeRegion = found.region ?? regionSet.find(isRegionName);
  return {
    scope: { service, region },
    homeRegion,
    isRegionSet: true,
    from: { service: from.service ?? HOST, region: from.regionSet ?? 'the default' },
  };
}

/** True for the hosts of AWS that name no region: `<service>.global.api.aws`. */
export const isInSeveralRegions = ({ hostname }: URL): boolean => /\.global\.api\.aws$/.test(hostname);

const serviceOf = ({ service, endpoint }: ScopeSources): string | undefined =>
  service ?? scopeOfHost(endpoint.hostname).service;

type FoundRegion =
  | { readonly region: string | undefined; readonly from: string }
  | { readonly problem: string };

async function findRegion({ endpoint, from, region, profile, env }: ScopeSources): Promise<FoundRegion> {
  const candidates: readonly (readonly [region: string | undefined, from: string])[] = [
    [region, from.region ?? ''],
    [scopeOfHost(endpoint.hostname).region, HOST],
    [env.AWS_REGION, 'AWS_REGION'],
    [env.AWS_DEFAULT_REGION, 'AWS_DEFAULT_REGION'],
  ];
  const [found, foundIn] = candidates.find(([each]) => each) ?? [undefined, ''];
  if (found) return { region: found, from: foundIn };
  const ofProfile = (await readProfileFacts(profile || undefined, env)).region;
  const problem = regionProblem(ofProfile);
  return problem === undefined
    ? { region: ofProfile, from: PROFILE }
    : { problem: `region of profile ${JSON.stringify(profile || env.AWS_PROFILE || 'default')} ${problem}` };
}

/** The problem with options that must be given. */
function missing(
  { endpoint }: ScopeSources,
  { service, region }: { readonly service: string | undefined; readonly region: string | undefined },
): string[] {
  const options = [...(service ? [] : ['--service <name>']), ...(region ? [] : ['--region <region>'])];
  return options.length === 0
    ? []
    : [
        `${options.join(' and ')} must be given: the host ${endpoint.hostname} does not determine what to sign for (--auth none sends requests unsigned)`,
      ];
}

const HOST = 'the host';
const PROFILE = 'the profile';
