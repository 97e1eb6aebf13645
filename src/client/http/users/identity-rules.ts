import { isObject, type JsonObject } from '../../../core/jsonrpc/message.ts';

/** The maximum number of rules: a request may be compared with each of them. */
const MAX_RULES = 1_000;
/** The limit of STS on session tags. */
const MAX_TAGS = 50;

export type ClaimValue = string | number | boolean;

/** The conditions of a rule; all that are given must hold. */
export interface IdentityMatch {
  /** Globs on the name of a static token. */
  readonly token: readonly string[];
  /** Globs on the subject of an access token. */
  readonly subject: readonly string[];
  /** Globs on the groups in an access token. */
  readonly group: readonly string[];
  /** Values of claims; a claim that is a list must contain one of them. */
  readonly claim: ReadonlyMap<string, readonly ClaimValue[]>;
}

/**
 * A role to assume. Its strings may contain `${claim}`, and `${token}` for the name of a static
 * token.
 */
export interface IdentityRole {
  readonly arn: string;
  readonly sessionName: string | undefined;
  readonly externalId: string | undefined;
  readonly tags: ReadonlyMap<string, string>;
  /** True if the access token of the user assumes the role, without other credentials. */
  readonly withToken: boolean;
}

/** Filters and limits that each identity of a rule has for itself. */
export interface IdentityPolicy {
  readonly readOnly: boolean;
  readonly allowTool: readonly string[];
  readonly denyTool: readonly string[];
  readonly maxConcurrent: number | undefined;
  readonly rateLimit: number | undefined;
  readonly rateBurst: number | undefined;
}

export interface IdentityRule {
  readonly name: string;
  readonly match: IdentityMatch;
  /** Undefined: as without the map. */
  readonly profile: string | undefined;
  readonly role: IdentityRole | undefined;
  readonly policy: IdentityPolicy;
}

/** A placeholder in a session name or tag. */
export const PLACEHOLDER = /\$\{([\w:.@/-]{1,100})\}/g;

/** A mistake in the document, and its place. */
class MapProblem extends Error {}

const wrong = (where: string, what: string): MapProblem => new MapProblem(`${where} ${what}`);

/** Reads the rules of an identity map, or returns the first problem. Pure. */
export function readIdentityRules(
  document: unknown,
): { readonly value: readonly IdentityRule[] } | { readonly problem: string } {
  try {
    const { identities } = members(document, 'the map', ['identities', '$schema']);
    if (!Array.isArray(identities) || identities.length === 0) {
      throw wrong('identities', 'must be a list of at least one rule');
    }
    if (identities.length > MAX_RULES) throw wrong('identities', `must have at most ${MAX_RULES} rules`);
    const rules = identities.map((rule, at) => readRule(rule, `identities[${at}]`));
    const names = rules.map(({ name }) => name);
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined)
      throw wrong('identities', `has two rules with the name ${JSON.stringify(twice)}`);
    return { value: rules };
  } catch (error) {
    if (error instanceof MapProblem) return { problem: error.message };
    throw error;
  }
}

function readRule(given: unknown, where: string): IdentityRule {
  const rule = members(given, where, ['name', 'match', 'profile', 'role', 'webIdentity', 'tools', 'limits']);
  const { role, webIdentity } = rule;
  if (role !== undefined && webIdentity !== undefined) {
    throw wrong(where, 'must have role or webIdentity, not both');
  }
  const profile = optionalText(rule.profile, `${where}.profile`);
  if (webIdentity !== undefined && profile !== undefined) {
    throw wrong(where, 'must not have a profile with webIdentity: the token takes the place of credentials');
  }
  return {
    name: matching(rule.name, `${where}.name`, /^[\w.@-]{1,64}$/, 'a name of letters, digits and ._@-'),
    match: readMatch(rule.match, `${where}.match`),
    profile,
    role:
      role !== undefined
        ? readRole(role, `${where}.role`, false)
        : webIdentity !== undefined
          ? readRole(webIdentity, `${where}.webIdentity`, true)
          : undefined,
    policy: {
      ...readTools(rule.tools ?? {}, `${where}.tools`),
      ...readLimits(rule.limits ?? {}, `${where}.limits`),
    },
  };
}

function readMatch(given: unknown, where: string): IdentityMatch {
  const { token, subject, group, claim = {} } = members(given, where, ['token', 'subject', 'group', 'claim']);
  if (!isObject(claim)) throw wrong(`${where}.claim`, 'must be an object of claims and their values');
  const claims = Object.entries(claim).map(([name, value]) => {
    const values = [value].flat();
    if (values.length === 0 || !values.every(isClaimValue)) {
      throw wrong(`${where}.claim.${name}`, 'must be a string, number or boolean, or a list of them');
    }
    return [name, values] as const;
  });
  const match = {
    token: globs(token, `${where}.token`),
    subject: globs(subject, `${where}.subject`),
    group: globs(group, `${where}.group`),
    claim: new Map(claims),
  };
  if (match.token.length + match.subject.length + match.group.length + match.claim.size === 0) {
    throw wrong(where, 'must have a condition: token, subject, group or claim; subject "*" is every user');
  }
  if (match.token.length > 0 && match.subject.length + match.group.length + match.claim.size > 0) {
    throw wrong(where, 'must not have token with another condition: static tokens have no claims');
  }
  return match;
}

function readRole(given: unknown, where: string, withToken: boolean): IdentityRole {
  const known = ['arn', 'sessionName', ...(withToken ? [] : ['externalId', 'tags'])];
  const { arn, sessionName, externalId, tags = {} } = members(given, where, known);
  if (!isObject(tags) || Object.keys(tags).length > MAX_TAGS) {
    throw wrong(`${where}.tags`, `must be an object of at most ${MAX_TAGS} session tags`);
  }
  const read = Object.entries(tags).map(([key, value]) => {
    if (!/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u.test(key))
      throw wrong(`${where}.tags`, `has an unusable key ${JSON.stringify(key)}`);
    return [key, template(value, `${where}.tags.${key}`)] as const;
  });
  const name = sessionName === undefined ? undefined : template(sessionName, `${where}.sessionName`);
  return {
    arn: matching(arn, `${where}.arn`, /^arn:aws[a-z-]*:iam::\d{12}:role\/\S+$/, 'the ARN of a role'),
    sessionName: name,
    externalId:
      externalId === undefined
        ? undefined
        : matching(externalId, `${where}.externalId`, /^[\w+=,.@:/-]{2,1224}$/, 'an external id'),
    tags: new Map(read),
    withToken,
  };
}

function readTools(
  given: unknown,
  where: string,
): Pick<IdentityPolicy, 'readOnly' | 'allowTool' | 'denyTool'> {
  const { readOnly = false, allow, deny } = members(given, where, ['readOnly', 'allow', 'deny']);
  if (typeof readOnly !== 'boolean') throw wrong(`${where}.readOnly`, 'must be true or false');
  return { readOnly, allowTool: globs(allow, `${where}.allow`), denyTool: globs(deny, `${where}.deny`) };
}

function readLimits(
  given: unknown,
  where: string,
): Pick<IdentityPolicy, 'maxConcurrent' | 'rateLimit' | 'rateBurst'> {
  const { maxConcurrent, rateLimit, rateBurst } = members(given, where, [
    'maxConcurrent',
    'rateLimit',
    'rateBurst',
  ]);
  if (rateBurst !== undefined && rateLimit === undefined)
    throw wrong(where, 'must have rateLimit with rateBurst');
  return {
    maxConcurrent: positive(maxConcurrent, `${where}.maxConcurrent`, Number.isSafeInteger),
    rateLimit: positive(rateLimit, `${where}.rateLimit`, Number.isFinite),
    rateBurst: positive(rateBurst, `${where}.rateBurst`, Number.isSafeInteger),
  };
}

/** Refuses unknown members: a misspelled one could give a user more rights. */
function members(given: unknown, where: string, known: readonly string[]): JsonObject {
  if (!isObject(given)) throw wrong(where, 'must be an object');
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw wrong(where, `must not have ${JSON.stringify(unknown.slice(0, 100))}: it has ${known.join(', ')}`);
  }
  return given;
}

const isClaimValue = (value: unknown): value is ClaimValue =>
  ['string', 'number', 'boolean'].includes(typeof value);

function optionalText(given: unknown, where: string): string | undefined {
  if (given === undefined) return undefined;
  return matching(given, where, /^\S(.*\S)?$/, 'a text');
}

function matching(given: unknown, where: string, pattern: RegExp, what: string): string {
  if (typeof given !== 'string' || !pattern.test(given)) throw wrong(where, `must be ${what}`);
  return given;
}

function globs(given: unknown, where: string): readonly string[] {
  if (given === undefined) return [];
  const all: unknown[] = [given].flat();
  if (all.length === 0 || !all.every((each) => typeof each === 'string' && each !== '')) {
    throw wrong(where, 'must be a string or a list of strings, in which * and ? are wildcards');
  }
  return all as string[];
}

function template(given: unknown, where: string): string {
  if (typeof given !== 'string' || given === '' || given.replaceAll(PLACEHOLDER, '').includes('${')) {
    throw wrong(where, `must be a string, in which \${name} is replaced by the claim of that name`);
  }
  return given;
}

function positive(given: unknown, where: string, isNumber: (value: unknown) => boolean): number | undefined {
  if (given === undefined) return undefined;
  if (!isNumber(given) || (given as number) <= 0) throw wrong(where, 'must be a number above 0');
  return given as number;
}
