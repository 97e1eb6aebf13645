import type { RefusalKind } from '../auth/authorizer.ts';
import { isCorrectable, MAX_CLOCK_CORRECTION_MS } from '../auth/clock-skew.ts';
import type { SigningScope } from '../auth/signing.ts';
import { errorTypeOf, isRejectedUnread } from '../core/pipeline/error-type.ts';
import { scopeOfHost } from './endpoint.ts';

export type { RefusalKind };

export interface AwsRefusal {
  readonly kind: RefusalKind;
  /** The message of the server, shortened. */
  readonly message: string;
  /** The scope that the server expects, if its message names it. */
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
 * The first match wins: "Signature expired" concerns the clock, "token expired" the credentials.
 */
const PATTERNS: readonly (readonly [pattern: RegExp, kind: RefusalKind])[] = [
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

/** Some services answer 400 to bad credentials, as to other faults of a request. */
const KINDS_WITH_400: ReadonlySet<RefusalKind> = new Set(['expired', 'invalid-token', 'clock', 'signature']);

/** True if the answer concerns the caller, not the request. */
export const isRefusal = (status: number, { kind }: AwsRefusal): boolean =>
  kind !== 'turned-away' &&
  (status === 401 || status === 403 || (status === 400 && KINDS_WITH_400.has(kind)));

const MAX_MESSAGE = 400;
/** AWS states the reason of a refusal at the beginning of the body. */
const MAX_JUDGED_CHARACTERS = 8_192;

/** Classifies a 401 or 403 by its content. Pure. */
export function judgeRefusal(answer: RefusedAnswer): AwsRefusal {
  const message = messageIn(answer);
  const evidence = `${answer.errorType} ${answer.body.slice(0, MAX_JUDGED_CHARACTERS)}`;
  if (isRejectedUnread(errorTypeOf({ 'x-amzn-errortype': answer.errorType }, answer.body))) {
    return { kind: 'turned-away', message };
  }
  const html = /text\/html/i.test(answer.contentType) || /^\s*<(!doctype html|html)/i.test(answer.body);
  if (html) return { kind: 'foreign-page', message };
  const match = PATTERNS.find(([pattern]) => pattern.test(evidence))?.[1];
  const kind = requiresToken(answer, match) ? 'oauth' : (match ?? 'other');
  if (kind !== 'signature') return { kind, message };
  const expected = expectedScope(answer.body.slice(0, MAX_JUDGED_CHARACTERS));
  return expected ? { kind, message, expected } : { kind, message };
}

/**
 * True for the challenge of a server that takes bearer tokens (RFC 9728, RFC 6750), unless the body
 * rejects a signature.
 */
function requiresToken({ status, challenge = '' }: RefusedAnswer, match: RefusalKind | undefined): boolean {
  if (status !== 401 || (match !== undefined && match !== 'denied' && match !== 'unsigned')) return false;
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
 * The readable part of an error body: the message of JSON or XML, the title of a page, or the first
 * characters.
 */
export function messageIn(answer: Pick<RefusedAnswer, 'body' | 'errorType'>): string {
  const body = answer.body.slice(0, MAX_JUDGED_CHARACTERS);
  const words =
    jsonMessage(body) ??
    /<Message>([^<]*)<\/Message>/i.exec(body)?.[1] ??
    /<title[^<>]*>([^<]*)<\/title>/i.exec(body)?.[1] ??
    body;
  const flat = words
    .replace(/<[^<>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const type = answer.errorType.split(':', 1)[0] ?? '';
  const shown = withoutRequestEchoes(flat).trimEnd();
  const full = type && !shown.includes(type) ? `${type}: ${shown}` : shown;
  return full.length > MAX_MESSAGE ? `${full.slice(0, MAX_MESSAGE)}...` : full;
}

/**
 * Removes the parts of the request that AWS repeats in a signature error: the canonical request
 * contains the session token, and some services return the Authorization header.
 */
export function withoutRequestEchoes(text: string): string {
  return text
    .replace(/The Canonical String for this request should have been[\s\S]*?(?="\s*}|<\/|$)/i, '')
    .replace(/<(CanonicalRequest|StringToSign)(Bytes)?>[^<]*(<\/\1(Bytes)?>)?/gi, '')
    .replace(/(x-amz-security-token\s*[:=]\s*)[^\s"'<>&\\,;]+/gi, '$1...')
    .replace(/(Signature=)[0-9a-z]+/gi, '$1...')
    .replace(/(<SignatureProvided>)[^<]*/gi, '$1...');
}

function jsonMessage(body: string): string | undefined {
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
  /** False if the request was sent unsigned. */
  readonly signed: boolean;
  /** The provider of the credentials: `environment`, `sso` and so on; undefined if unknown. */
  readonly providerName?: string | undefined;
  /** How far the clock of this machine is behind the Date of the server. */
  readonly skewMs?: number;
}

const named = (profile: string): string => (profile === '' ? 'the default chain' : `profile '${profile}'`);

/** How the user replaces expired credentials. */
function renewalOf({ providerName, profile }: RefusalContext): string {
  const flag = profile === '' ? '' : ` --profile ${profile}`;
  const atOnce = 'the next call uses the new ones, no restart is needed.';
  switch (providerName) {
    case 'environment':
      return 'They come from environment variables, which a running process cannot refresh: set new ones in the configuration of your client, and restart the proxy. With --profile the proxy refreshes them itself.';
    case 'static':
      return `Write new ones into the shared AWS files; ${atOnce}`;
    case 'process':
      return `Run the profile's credential_process in a terminal to see why it returns old ones; once it returns others, ${atOnce}`;
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
  return `its clock and this machine's differ by ${seconds} s, and at most ${hours} hours are corrected. Check which of the two is wrong.`;
}

/** The error message: what happened, and what to do. */
export function explainRefusal(refusal: AwsRefusal, context: RefusalContext): string {
  const { status, host, profile, scope } = context;
  const message = refusal.message ? ` The server said: ${refusal.message}` : '';
  switch (refusal.kind) {
    case 'expired':
      return `The AWS credentials of ${named(profile)} have expired (HTTP ${status}). ${renewalOf(context)}${message}`;
    case 'invalid-token':
      return `AWS does not know the access key or session token of ${named(profile)} (HTTP ${status}). Check them with: aws sts get-caller-identity${profile === '' ? '' : ` --profile ${profile}`}.${message}`;
    case 'clock':
      return `The server refused the signature's time (HTTP ${status}): ${clockText(context.skewMs)}${message}`;
    case 'signature':
      return `The server refused the signature (HTTP ${status}). It was made for service '${scope.service}' in region '${scope.region}'${expectedText(refusal, context)}.${message}`;
    case 'denied':
      return `Access was denied with the credentials of ${named(profile)} (HTTP ${status}). ${denialOf(refusal, context)}${message}`;
    case 'oauth':
      return context.signed
        ? `The server requires an OAuth access token, not an AWS signature (HTTP ${status}). Log in with --auth oauth, pass a token with --auth bearer, or set its inbound authorization to IAM.${message}`
        : `The server requires an OAuth access token (HTTP ${status}), and this request was sent without one. Log in with --auth oauth, or pass a token with --auth bearer.${message}`;
    case 'other-method':
      return `The server requires another authorization than AWS signatures, probably OAuth (HTTP ${status}): log in with --auth oauth, pass a token with --auth bearer, or set it to IAM.${message}`;
    case 'unsigned':
      return context.signed
        ? `The server found no valid signature header (HTTP ${status}): check the path of the endpoint URL, because API Gateway gives this answer for unknown paths.${message}`
        : `The server requires signed requests (HTTP ${status}), and this one was sent unsigned, because no AWS credentials are configured and --skip-auth is set. Set AWS_PROFILE or pass --profile.${message}`;
    case 'foreign-page':
      return `HTTP ${status} with an HTML page: it comes from a firewall (WAF) or a corporate proxy in front of ${host}, not from the MCP server. Ask its operators to allow this traffic, or set --user-agent if it filters by that.${message}`;
    case 'turned-away':
    case 'other':
      return `The server at ${host} refused the request (HTTP ${status}).${message}`;
  }
}

/** The reason for the denial as far as the answer shows it, and the remedy. */
function denialOf({ message }: AwsRefusal, { host }: RefusalContext): string {
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
  if (/explicit deny/i.test(message))
    return 'The credentials are valid, but a policy denies this explicitly, which no other policy can override: change that policy, or use another role.';
  // https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
  if (scopeOfHost(host).service === 'lambda')
    return 'A Lambda function URL needs two permissions since October 2025: lambda:InvokeFunctionUrl and lambda:InvokeFunction, in the policies of the caller or of the function.';
  if (/not authorized to perform|no \S+ policy allows/i.test(message))
    return 'The credentials are valid, but no IAM policy allows this.';
  return 'The answer gives no reason. It may be a missing permission, a resource policy, a firewall (WAF), or a path that the server does not have.';
}

function expectedText(refusal: AwsRefusal, { scope, host }: RefusalContext): string {
  const hostScope = scopeOfHost(host);
  const service = refusal.expected?.service ?? hostScope.service;
  const region = refusal.expected?.region ?? hostScope.region;
  const source = refusal.expected ? 'the server expects' : 'its host name suggests';
  const parts = [
    ...(service && service !== scope.service ? [`service '${service}' (--service ${service})`] : []),
    ...(region && region !== scope.region ? [`region '${region}' (--region ${region})`] : []),
  ];
  if (parts.length > 0) return `; ${source} ${parts.join(' and ')}`;
  return '; if both are right, check the secret access key';
}
