import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { type ParseError, parse, printParseErrorCode } from 'jsonc-parser';
import { withoutByteOrderMark } from '../../../core/jsonrpc/message.ts';
import { fileProblem } from '../../../core/system/file-facts.ts';
import { matchesAny, matchesGlob } from '../../../core/tools/glob.ts';
import type { FilesRead } from '../watched-files.ts';
import {
  type ClaimValue,
  type IdentityMatch,
  type IdentityPolicy,
  type IdentityRole,
  type IdentityRule,
  PLACEHOLDER,
  readIdentityRules,
} from './identity-rules.ts';

/** Room for some thousand rules in one file. */
const MAX_FILE_BYTES = 1024 * 1024;
/** The limits of STS, in characters. */
const MAX_SESSION_NAME = 64;
const MAX_TAG_VALUE = 256;
/** Hex digits of the digest in a session name: without it, two users could get the same name. */
const DIGEST_CHARACTERS = 16;
/** The end of a session name with a digest. A user's own name must not end like this. */
const DERIVED_END = /-[0-9a-f]{16}$/;
/**
 * The maximum number of groups in a token; Entra ID sends up to 200. Each group is compared with
 * each wildcard of the map.
 */
export const MAX_GROUPS = 500;

/** An authenticated caller of the listener. */
export interface KnownCaller {
  /** The name of its token, or of its user. */
  readonly name: string;
  /** The claims of its access token; undefined for a static token. */
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

/** The role of an identity; its placeholders are filled in for one caller. */
export interface AssumedRole {
  readonly arn: string;
  readonly sessionName: string;
  readonly externalId: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly withToken: boolean;
}

/** The AWS identity and the policy of a caller. */
export interface IdentityTarget {
  /** The name of the rule. */
  readonly rule: string;
  readonly profile: string | undefined;
  readonly role: AssumedRole | undefined;
  readonly policy: IdentityPolicy;
}

export type MappedIdentity = IdentityTarget | { readonly problem: string };

/** Reads the file of --identity-map. Never throws. */
export function loadIdentityMap(path: string): FilesRead<readonly IdentityRule[]> {
  try {
    const problem = fileProblem(statSync(path, { bigint: true }), MAX_FILE_BYTES);
    if (problem) return { problem };
    const text = withoutByteOrderMark(readFileSync(path, 'utf8'));
    const errors: ParseError[] = [];
    const document: unknown = parse(text, errors, { allowTrailingComma: true });
    const [first] = errors;
    if (!first) return readIdentityRules(document);
    const line = text.slice(0, first.offset).split('\n').length;
    return { problem: `it is not valid JSON: ${printParseErrorCode(first.error)} in line ${line}` };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

/** The identity of a caller by the first rule that matches, or why it has none. Pure. */
export function mapIdentity(rules: readonly IdentityRule[], caller: KnownCaller): MappedIdentity {
  const known = { ...caller, subjects: textsOf(caller.claims?.sub), groups: groupsOf(caller.claims) };
  if (known.groups.size > MAX_GROUPS)
    return { problem: `the access token names more than ${MAX_GROUPS} groups` };
  const rule = rules.find(({ match }) => matches(match, known));
  if (!rule) return { problem: 'no rule of --identity-map matches' };
  const { name, profile, role, policy } = rule;
  if (!role) return { rule: name, profile, role: undefined, policy };
  if (role.withToken && !caller.claims) {
    return {
      problem: `the rule ${name} needs an access token (webIdentity), and the caller has a static token`,
    };
  }
  try {
    return { rule: name, profile, role: assumedRole(role, caller), policy };
  } catch (error) {
    return {
      problem: `the rule ${name} cannot be applied: ${error instanceof Error ? error.message : error}`,
    };
  }
}

/** The key of an identity. It differs between callers, and changes with the caller's identity. */
export const identityKey = ({ name }: KnownCaller, target: IdentityTarget): string =>
  createHash('sha256')
    .update(JSON.stringify([name, target]))
    .digest('base64url');

/** A caller with the strings that rules are compared with, computed once. */
interface ComparedCaller extends KnownCaller {
  readonly subjects: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
}

function matches(
  { token, subject, group, claim }: IdentityMatch,
  { name, claims, subjects, groups }: ComparedCaller,
): boolean {
  if (!claims) return matchesAny(token, name);
  if (token.length > 0) return false;
  if (subject.length > 0 && !matchesOne(subject, subjects)) return false;
  if (group.length > 0 && !matchesOne(group, groups)) return false;
  return [...claim].every(([key, values]) => hasValue(ownClaim(claims, key), values));
}

/**
 * True if a pattern matches a text. The characters before a wildcard exclude most texts early.
 */
const matchesOne = (patterns: readonly string[], texts: ReadonlySet<string>): boolean =>
  patterns.some((pattern) => {
    const wildcardAt = pattern.search(/[*?]/);
    if (wildcardAt < 0) return texts.has(pattern);
    const beginning = pattern.slice(0, wildcardAt);
    for (const text of texts) if (text.startsWith(beginning) && matchesGlob(pattern, text)) return true;
    return false;
  });

const hasValue = (claim: unknown, values: readonly ClaimValue[]): boolean =>
  [claim].flat().some((each) => values.includes(each as ClaimValue));

const textsOf = (claim: unknown): ReadonlySet<string> =>
  new Set([claim].flat().filter((each) => typeof each === 'string'));

/** The claims in which authorization servers name groups. */
const groupsOf = (claims: KnownCaller['claims']): ReadonlySet<string> =>
  textsOf(claims && ['groups', 'cognito:groups', 'roles'].flatMap((key) => ownClaim(claims, key)));

const ownClaim = (claims: Readonly<Record<string, unknown>>, key: string): unknown =>
  Object.hasOwn(claims, key) ? claims[key] : undefined;

function assumedRole(role: IdentityRole, caller: KnownCaller): AssumedRole {
  const { arn, sessionName, externalId, tags, withToken } = role;
  const filled = [...tags].map(([key, text]) => [key, tagValue(key, fill(text, caller))] as const);
  return {
    arn,
    sessionName: sessionNameOf(sessionName === undefined ? caller.name : fill(sessionName, caller)),
    externalId,
    tags: Object.fromEntries(filled),
    withToken,
  };
}

/** @throws Error where the caller lacks a claim. */
function fill(text: string, { name, claims }: KnownCaller): string {
  return text.replaceAll(PLACEHOLDER, (_all, key: string) => {
    const value = claims ? ownClaim(claims, key) : key === 'token' ? name : undefined;
    if (value === '' || !['string', 'number', 'boolean'].includes(typeof value)) {
      throw new Error(`the access token has no claim ${key}`);
    }
    return String(value);
  });
}

/**
 * Returns a session name with the characters that STS accepts. A digest is added if characters were
 * replaced, or if the name itself ends like a digest: different users need different names.
 */
function sessionNameOf(text: string): string {
  const name = text.replaceAll(/[^\w+=,.@-]/g, '-');
  const fits = name === text && name.length >= 2 && name.length <= MAX_SESSION_NAME;
  if (fits && !DERIVED_END.test(name)) return name;
  const digest = createHash('sha256').update(text).digest('hex').slice(0, DIGEST_CHARACTERS);
  return `${name.slice(0, MAX_SESSION_NAME - DIGEST_CHARACTERS - 1)}-${digest}`;
}

/** Tags are never changed to fit, because policies decide by their values. */
function tagValue(key: string, value: string): string {
  if (value.length <= MAX_TAG_VALUE && /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(value)) return value;
  throw new Error(`STS accepts no session tag ${key} with this value`);
}
