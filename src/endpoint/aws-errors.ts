import { isCorrectable, MAX_CLOCK_CORRECTION_MS } from '../auth/clock-skew.ts';
import type { SigningScope } from '../auth/signing.ts';
import { errorTypeOf, isRejectedUnread } from '../core/pipeline/error-type.ts';
import { scopeOfHost } from './endpoint.ts';

/** Why a server answered 401 or 403, told apart because each has another remedy. */
export type RefusalKind =
  | 'expired'
  | 'invalid-token'
  | 'clock'
  | 'signature'
  | 'denied'
  | 'other-method'
  | 'oauth'
  | 'unsigned'
  | 'turned-away'
  | 'foreign-page'
  | 'other';

export interface AwsRefusal {
  readonly kind: RefusalKind;
  /** The server's own words, shortened. */
  readonly said: string;
  /** What a scope complaint says should stand in the signature. */
  readonly expected?: Partial<SigningScope>;
}

export interface RefusedAnswer {
  readonly status: number;
  readonly errorType: string;
  readonly contentType: string;
  readonly body: string;
  /** The WWW-Authenticate header. */
  readonly challenge?: string;
}

/**
 * First match wins: "Signature expired" is about the clock, "token expired" about the credentials.
 */
const SIGNS: readonly (readonly [pattern: RegExp, kind: RefusalKind])[] = [
  [
    /RequestTimeTooSkewed|RequestExpired|Signature expired|Signature not yet current|request time.{0,40}too large|Date in Credential scope/i,
    'clock',
  ],
  [/ExpiredToken|token.{0,60}(has )?expired|expired.{0,20}token|credentials?.{0,20}expired/i, 'expired'],
  [
    /UnrecognizedClient|InvalidClientTokenId|security token.{0,40}invalid|InvalidAccessKeyId|invalid.{0,20}security token/i,
    'invalid-token',
  ],
  [
    /SignatureDoesNotMatch|InvalidSignature|IncompleteSignature|signature we calculated|should be scoped to|InvalidCredentialScope|AuthorizationHeaderMalformed/i,
    'signature',
  ],
  [/MissingAuthenticationToken|Missing Authentication Token/i, 'unsigned'],
  [/Authorization method mismatch/i, 'other-method'],
  [/AccessDenied|not authorized|explicit deny|Forbidden/i, 'denied'],
];

/**
 * Some services answer bad credentials with 400, where any other fault of the request is answered
 * as well.
 */
const TOLD_BY_400: ReadonlySet<RefusalKind> = new Set(['expired', 'invalid-token', 'clock', 'signature']);

/** True where the answer is about who asks, not about what is asked. */
export const isRefusal = (status: number, { kind }: AwsRefusal): boolean =>
  kind !== 'turned-away' && (status === 401 || status === 403 || (status === 400 && TOLD_BY_400.has(kind)));

const SAID_LIMIT = 400;

/** Judges a 401 or 403 by what stands in it. Pure. */
export function judgeRefusal(answer: RefusedAnswer): AwsRefusal {
  const said = wordsOf(answer);
  const evidence = `${answer.errorType} ${answer.body.slice(0, 8192)}`;
  if (isRejectedUnread(errorTypeOf({ 'x-amzn-errortype': answer.errorType }, answer.body))) {
    return { kind: 'turned-away', said };
  }
  const html = /text\/html/i.test(answer.contentType) || /^\s*<(!doctype html|html)/i.test(answer.body);
  if (html) return { kind: 'foreign-page', said };
  const sign = SIGNS.find(([pattern]) => pattern.test(evidence))?.[1];
  const kind = wantsToken(answer, sign) ? 'oauth' : (sign ?? 'other');
  if (kind !== 'signature') return { kind, said };
  const expected = expectedScope(answer.body);
  return expected ? { kind, said, expected } : { kind, said };
}

/**
 * RFC 9728 and RFC 6750: the challenge of a server that takes bearer tokens, unless its body
 * complains about a signature.
 */
function wantsToken({ status, challenge = '' }: RefusedAnswer, sign: RefusalKind | undefined): boolean {
  if (status !== 401 || (sign !== undefined && sign !== 'denied' && sign !== 'unsigned')) return false;
  return /\bresource_metadata\s*=|^\s*Bearer\b/i.test(challenge);
}

function expectedScope(body: string): Partial<SigningScope> | undefined {
  const text = body.replaceAll('\\"', '"').replaceAll('&apos;', "'").replaceAll('&#39;', "'");
  const service = /correct service:?\s*['"]?([\w.-]+?)['"]?(?:[\s.,"'<]|$)/i.exec(text)?.[1];
  const region =
    /(?:expecting|expected|(?:correct|valid) region:?)\s*['"]?([a-z]{2,5}(?:-[a-z]+)+-\d+)/i.exec(
      text,
    )?.[1] ?? /scoped to (?:the )?['"]?([a-z]{2,5}(?:-[a-z]+)+-\d+)/i.exec(text)?.[1];
  if (!service && !region) return undefined;
  return { ...(service ? { service } : {}), ...(region ? { region } : {}) };
}

/**
 * The readable part of an error body: the message of JSON or XML, the title of a page, else its
 * first characters.
 */
export function wordsOf(answer: Pick<RefusedAnswer, 'body' | 'errorType'>): string {
  const body = answer.body.slice(0, 8192);
  const words =
    jsonWords(body) ??
    /<Message>([^<]*)<\/Message>/i.exec(body)?.[1] ??
    /<title[^>]*>([^<]*)<\/title>/i.exec(body)?.[1] ??
    body;
  const flat = words
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const type = answer.errorType.split(':', 1)[0] ?? '';
  const shown = withoutEchoes(flat);
  const full = type && !shown.includes(type) ? `${type}: ${shown}` : shown;
  return full.length > SAID_LIMIT ? `${full.slice(0, SAID_LIMIT)}...` : full;
}

/**
 * Takes out what AWS repeats of the request when it refuses a signature: the canonical request
 * holds the session token, and some services return the whole Authorization header.
 */
export function withoutEchoes(text: string): string {
  return text
    .replace(/\s*The Canonical String for this request should have been[\s\S]*?(?="\s*}|<\/|$)/i, '')
    .replace(/\s*<(CanonicalRequest|StringToSign)(Bytes)?>[^<]*(<\/\1(Bytes)?>)?/gi, '')
    .replace(/(x-amz-security-token\s*[:=]\s*)[^\s"'<>&\\,;]+/gi, '$1...')
    .replace(/(Signature=)[0-9a-z]+/gi, '$1...')
    .replace(/(<SignatureProvided>)[^<]*/gi, '$1...');
}

function jsonWords(body: string): string | undefined {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof json !== 'object' || json === null) return undefined;
  const fields = json as Record<string, unknown>;
  const nested = fields.error;
  const candidates = [
    fields.message,
    fields.Message,
    typeof nested === 'object' && nested !== null ? (nested as Record<string, unknown>).message : nested,
    fields.errorMessage,
  ];
  return candidates.find((value): value is string => typeof value === 'string');
}

export interface RefusalContext {
  readonly status: number;
  readonly host: string;
  readonly profile: string;
  readonly scope: SigningScope;
  /** False where the request went out without a signature. */
  readonly signed: boolean;
  /**
   * Where the keys came from: `environment`, `sso` and so on; undefined where that is not known.
   */
  readonly providerName?: string | undefined;
  /** How far this machine's clock is behind the server's, where the server's Date told. */
  readonly skewMs?: number;
}

const named = (profile: string): string => (profile === '' ? 'the default chain' : `profile '${profile}'`);

/** How a person gets newer keys in the place of expired ones. */
function renewalOf({ providerName, profile }: RefusalContext): string {
  const flag = profile === '' ? '' : ` --profile ${profile}`;
  const atOnce = 'the next call uses the new ones, no restart is needed.';
  switch (providerName) {
    case 'environment':
      return 'They stand in the environment, where nobody can renew them for a process that runs: set new ones where your client starts the proxy, and start it again. With --profile it gets fresh ones by itself.';
    case 'static':
      return `Put new ones where they stand, in the shared AWS files; ${atOnce}`;
    case 'process':
      return `Run the profile's credential_process in a terminal to see why it gives old ones; once it gives others, ${atOnce}`;
    case 'sso':
      return `Run aws sso login${flag}; ${atOnce}`;
    case 'login':
      return `Run aws login${flag}; ${atOnce}`;
    default:
      return `Run aws sso login${flag} (or aws login${flag}); ${atOnce}`;
  }
}

function clockText(skewMs: number | undefined): string {
  if (skewMs === undefined) return "this machine's clock is off. Correct the clock.";
  const seconds = Math.round(Math.abs(skewMs) / 1_000);
  if (isCorrectable(skewMs)) return `this machine's clock is off by ${seconds} s. Correct the clock.`;
  const hours = MAX_CLOCK_CORRECTION_MS / 3_600_000;
  return `its clock and this machine's differ by ${seconds} s, and no more than ${hours} hours are corrected. Check which of the two is wrong.`;
}

/** The sentence that a person reads: what happened, and what to do about it. */
export function explainRefusal(refusal: AwsRefusal, context: RefusalContext): string {
  const { status, host, profile, scope } = context;
  const said = refusal.said ? ` The server said: ${refusal.said}` : '';
  switch (refusal.kind) {
    case 'expired':
      return `The AWS credentials of ${named(profile)} have expired (HTTP ${status}). ${renewalOf(context)}${said}`;
    case 'invalid-token':
      return `AWS does not know the access key or session token of ${named(profile)} (HTTP ${status}). Check them with: aws sts get-caller-identity${profile === '' ? '' : ` --profile ${profile}`}.${said}`;
    case 'clock':
      return `The server refused the signature's time (HTTP ${status}): ${clockText(context.skewMs)}${said}`;
    case 'signature':
      return `The server refused the signature (HTTP ${status}). It was made for service '${scope.service}' in region '${scope.region}'${expectedText(refusal, context)}.${said}`;
    case 'denied':
      return `Access was denied with the credentials of ${named(profile)} (HTTP ${status}). ${denialOf(refusal, context)}${said}`;
    case 'oauth':
      return `The server wants an OAuth access token, not an AWS signature (HTTP ${status}). Set its inbound authorization to IAM, or reach it with a client that does OAuth.${said}`;
    case 'other-method':
      return `The server wants another way of authorization than AWS signatures, OAuth most likely (HTTP ${status}): set it to IAM, or reach it with a client that does OAuth.${said}`;
    case 'unsigned':
      return context.signed
        ? `The server found no signature that it knows (HTTP ${status}): check the path of the endpoint URL, since API Gateway answers so for unknown paths.${said}`
        : `The server wants signed requests (HTTP ${status}), and this one was sent unsigned because there were no AWS credentials and --skip-auth was given. Set AWS_PROFILE or pass --profile.${said}`;
    case 'foreign-page':
      return `HTTP ${status} with an HTML page: it comes from a firewall (WAF) or a corporate proxy in front of ${host}, not from the MCP server. Ask whoever runs it to let this traffic through, or set --user-agent if it judges by that.${said}`;
    case 'turned-away':
    case 'other':
      return `The server at ${host} refused the request (HTTP ${status}).${said}`;
  }
}

/** Why access was denied, as far as the answer says, and what grants it. */
function denialOf({ said }: AwsRefusal, { host }: RefusalContext): string {
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
  if (/explicit deny/i.test(said))
    return 'The credentials are valid, but a policy denies this explicitly, whatever others allow: change that policy, or use another role.';
  // https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
  if (scopeOfHost(host).service === 'lambda')
    return 'A Lambda function URL needs two permissions since October 2025: lambda:InvokeFunctionUrl and lambda:InvokeFunction, in the policies of the caller or of the function.';
  if (/not authorized to perform|no \S+ policy allows/i.test(said))
    return 'The credentials are valid, but no IAM policy allows them this.';
  return 'The answer gives no reason. It may be a missing permission, a resource policy, a firewall (WAF), or a path that the server does not have.';
}

function expectedText(refusal: AwsRefusal, { scope, host }: RefusalContext): string {
  const told = scopeOfHost(host);
  const service = refusal.expected?.service ?? told.service;
  const region = refusal.expected?.region ?? told.region;
  const source = refusal.expected ? 'the server expects' : 'its host name suggests';
  const parts = [
    ...(service && service !== scope.service ? [`service '${service}' (--service ${service})`] : []),
    ...(region && region !== scope.region ? [`region '${region}' (--region ${region})`] : []),
  ];
  if (parts.length > 0) return `; ${source} ${parts.join(' and ')}`;
  return '; if both are right, check the secret access key';
}
