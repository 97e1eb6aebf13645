import { hash } from 'node:crypto';
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import { causeText } from '../../../core/errors/errors.ts';
import { heapShare } from '../../../core/system/heap-share.ts';
import { SizedMap } from '../../../core/system/sized-map.ts';
import type { Clock } from '../../../core/time/clock.ts';
import { type IssuerKeys, type KeySet, NoKeysError } from './issuer-keys.ts';
import type { UserSettings } from './options.ts';

/** Longer tokens are refused without parsing. Typical tokens take a tenth of it. */
export const MAX_TOKEN_BYTES = 16 * 1024;
/** Allowed difference between the clocks of the issuer and this machine. */
const MAX_SKEW_S = 30;
/** The maximum number of cached tokens: as many as clients may be connected. */
const MAX_VERIFIED = 4_096;
/** Size of the claims of cached tokens; most take 1 KiB. */
const MAX_VERIFIED_BYTES = heapShare(8 * 1024 * 1024);
/** Keys that are tried for a token without a key id: several may fit during a key rotation. */
const MAX_CANDIDATES = 8;
/** Characters of a subject: the limit of OpenID Connect. */
const MAX_SUBJECT = 255;

/**
 * Signatures by public keys only: with a shared secret, an issuer's public key could pass for the
 * secret of HS256 (RFC 8725, 3.1).
 */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

/** The user of a verified access token. */
export interface VerifiedUser {
  /** `user:` and the subject: no token of --listen-token-file can have this name. */
  readonly name: string;
  readonly subject: string;
  /** The access token itself. */
  readonly token: string;
  readonly claims: Readonly<JWTPayload>;
  /** Wall clock, with the allowed skew. */
  readonly expiresAt: number;
}

/**
 * Why a token is not accepted. `invalid`: the token is wrong; `scope`: it lacks a scope;
 * `unavailable`: the issuer's keys are not known.
 */
export interface TokenProblem {
  readonly problem: 'invalid' | 'scope' | 'unavailable';
  readonly message: string;
  /** The user, where the token is valid otherwise. */
  readonly name?: string;
}

export type Verified = VerifiedUser | TokenProblem;

export interface TokenVerifierOptions extends UserSettings {
  readonly keys: Pick<IssuerKeys, 'current' | 'renewed'>;
  readonly clock: Clock;
}

const invalid = (message: string): TokenProblem => ({ problem: 'invalid', message });

/** Verifies access tokens, and caches the result for valid ones. */
export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  readonly #verified = new SizedMap<VerifiedUser>({
    maxEntries: MAX_VERIFIED,
    maxBytes: MAX_VERIFIED_BYTES,
  });
  /** Incremented when the keys change: results of former keys are not cached. */
  #generation = 0;

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
  }

  /** Clears the cache after the keys have changed: the key of a token may have been removed. */
  forget(): void {
    this.#generation++;
    this.#verified.clear();
  }

  /** Never rejects. */
  verify(token: string): Verified | Promise<Verified> {
    if (token.length > MAX_TOKEN_BYTES) {
      return invalid(`The access token is longer than ${MAX_TOKEN_BYTES} bytes.`);
    }
    if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) {
      return invalid('The bearer token is neither a token of this listener nor a signed JWT.');
    }
    const key = hash('sha256', token, 'base64url');
    const known = this.#verified.get(key);
    if (!known) return this.#verify(token, key);
    if (this.#options.clock.now() < known.expiresAt) return known;
    this.#verified.delete(key);
    return EXPIRED;
  }

  async #verify(token: string, key: string): Promise<Verified> {
    const generation = this.#generation;
    try {
      const claims = await this.#claimsOf(token);
      const user = this.#read(claims, token);
      if ('problem' in user || generation !== this.#generation) return user;
      this.#verified.set(key, user, token.length * 3);
      return user;
    } catch (error) {
      return problemOf(error, this.#options);
    }
  }

  async #claimsOf(token: string): Promise<JWTPayload> {
    const { keys } = this.#options;
    const found = keys.current();
    const set = found instanceof Promise ? await found : found;
    try {
      return await this.#verifyWith(token, set);
    } catch (error) {
      const renewed = error instanceof errors.JWKSNoMatchingKey ? await keys.renewed() : undefined;
      if (!renewed) throw error;
      return this.#verifyWith(token, renewed);
    }
  }

  async #verifyWith(token: string, set: KeySet): Promise<JWTPayload> {
    const { issuer, clock } = this.#options;
    const rules: JWTVerifyOptions = {
      issuer,
      algorithms: ALGORITHMS,
      clockTolerance: MAX_SKEW_S,
      currentDate: new Date(clock.now()),
      requiredClaims: ['exp'],
    };
    try {
      return (await jwtVerify(token, set, rules)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      let last: unknown = error;
      let tried = 0;
      for await (const key of error) {
        if (++tried > MAX_CANDIDATES) break;
        try {
          return (await jwtVerify(token, key, rules)).payload;
        } catch (failure) {
          last = failure;
          if (!(failure instanceof errors.JWSSignatureVerificationFailed)) break;
        }
      }
      throw last;
    }
  }

  #read(claims: JWTPayload, token: string): Verified {
    const { audiences, scopes } = this.#options;
    const subject = claims.sub ?? claims.client_id;
    if (typeof subject !== 'string' || subject === '') return invalid('The access token names no subject.');
    if (subject.length > MAX_SUBJECT || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(subject)) {
      return invalid(`The subject of the access token is longer than ${MAX_SUBJECT}, or not printable.`);
    }
    if (isIdToken(claims)) return invalid('The token is an ID token: send the access token.');
    if (!audiencesOf(claims).some((audience) => audiences.includes(audience))) {
      return invalid('The access token was issued for another audience.');
    }
    const name = `user:${subject}`;
    const granted = scopesOf(claims);
    const missing = scopes.filter((scope) => !granted.has(scope));
    if (missing.length > 0) {
      return { problem: 'scope', message: `The access token lacks the scope ${missing.join(' ')}.`, name };
    }
    const expiresAt = ((claims.exp ?? 0) + MAX_SKEW_S) * 1_000;
    return { name, subject, token, claims, expiresAt };
  }
}

const EXPIRED = invalid('The access token has expired.');

/** Cognito and Keycloak mark ID tokens; those of other issuers have another audience. */
const isIdToken = ({ token_use: use, typ }: JWTPayload): boolean => use === 'id' || typ === 'ID';

/** Tokens of Cognito have `client_id` instead of an audience. */
export function audiencesOf({ aud, client_id: client }: JWTPayload): readonly string[] {
  if (aud === undefined) return typeof client === 'string' ? [client] : [];
  return typeof aud === 'string' ? [aud] : Array.isArray(aud) ? aud : [];
}

/** RFC 9068 has `scope` with blanks; Microsoft Entra and Okta have `scp`, as text or list. */
export function scopesOf({ scope, scp }: JWTPayload): ReadonlySet<string> {
  const given = [scope, scp].flat().filter((each) => typeof each === 'string');
  return new Set(given.flatMap((each) => each.split(' ')).filter((each) => each !== ''));
}

/** The problem behind a failed verification. Never shows a part of the token. */
function problemOf(error: unknown, { issuer }: Pick<UserSettings, 'issuer'>): TokenProblem {
  if (error instanceof NoKeysError) {
    const message = `Access tokens cannot be verified now, because the keys of their issuer ${issuer} cannot be read. Try again later.`;
    return { problem: 'unavailable', message };
  }
  if (error instanceof errors.JWTExpired) return EXPIRED;
  if (error instanceof errors.JWTClaimValidationFailed) {
    switch (error.claim) {
      case 'iss':
        return invalid(`The access token was not issued by ${issuer}.`);
      case 'nbf':
        return invalid('The access token is not valid yet: check the clocks of the issuer and this machine.');
      default:
        return invalid(`The claim ${error.claim} of the access token is missing or unusable.`);
    }
  }
  if (error instanceof errors.JOSEAlgNotAllowed)
    return invalid('The access token is signed with an algorithm that is not accepted.');
  if (error instanceof errors.JWKSNoMatchingKey)
    return invalid('The access token is signed with a key that its issuer does not publish.');
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return invalid('The signature of the access token is wrong.');
  if (error instanceof errors.JOSEError) return invalid('The access token is not a valid signed JWT.');
  return invalid(`The access token cannot be verified: ${causeText(error)}`);
}
