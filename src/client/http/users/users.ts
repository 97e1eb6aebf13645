import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../../../core/time/clock.ts';
import { type AdmissionRules, type HttpRefusal, type RequestHead, siteRefusal } from '../admission.ts';
import { readBearer } from '../bearer.ts';
import { preflightHeaders } from '../headers.ts';
import { IssuerKeys } from './issuer-keys.ts';
import type { GetText } from './issuer-metadata.ts';
import { isMetadataPath, type ResourceRules, resourceMetadata, userRefusal } from './protected-resource.ts';
import { TokenVerifier, type Verified, type VerifiedUser } from './token-verifier.ts';

export interface UsersOptions extends ResourceRules {
  readonly get: GetText;
  readonly clock: Clock;
  readonly onKeysRead: (count: number) => void;
  readonly onKeysUnreadable: (problem: string) => void;
}

/**
 * The verdict on a request without a static token: it is answered with the protected resource
 * metadata, or it is admitted with the facts about its user.
 */
export type UserVerdict =
  | { readonly metadata: string; readonly headers: Readonly<Record<string, string>> }
  | {
      readonly judged: RequestHead;
      readonly token: string | undefined;
      readonly user: VerifiedUser | undefined;
    };

/** Web pages send OPTIONS as a preflight request. */
const METADATA_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/** Authenticates users of the listener by access tokens, and describes where to get these. */
export class Users {
  readonly #options: UsersOptions;
  readonly #verifier: TokenVerifier;

  constructor(options: UsersOptions) {
    this.#options = options;
    const { issuer, get, clock, onKeysRead, onKeysUnreadable } = options;
    const keys = new IssuerKeys({
      issuer,
      get,
      clock,
      onRead: (count) => {
        this.#verifier.forget();
        onKeysRead(count);
      },
      onUnreadable: onKeysUnreadable,
    });
    this.#verifier = new TokenVerifier({ ...options, keys });
  }

  /** Returns no promise for a cached token. Never rejects. */
  judge(
    head: RequestHead,
    rules: Pick<AdmissionRules, 'allowedHosts' | 'allowedOrigins'>,
  ): UserVerdict | Promise<UserVerdict> {
    const { method, path, headers } = head;
    // A page of another site must get no information, and cause no verification.
    if (siteRefusal(head, rules)) return unknown(head, undefined);
    const { host = '', authorization } = headers;
    if (METADATA_METHODS.includes(method) && isMetadataPath(path, this.#options)) {
      return { metadata: resourceMetadata(this.#options, host), headers: metadataHeaders(headers) };
    }
    if (method === 'OPTIONS') return unknown(head, undefined);
    const token = readBearer(authorization);
    if (token === '') return unknown(head, userRefusal(undefined, this.#options, host));
    const verified = this.#verifier.verify(token);
    return verified instanceof Promise
      ? verified.then((outcome) => this.#verdict(outcome, head, host))
      : this.#verdict(verified, head, host);
  }

  #verdict(verified: Verified, head: RequestHead, host: string): UserVerdict {
    if ('problem' in verified) {
      return unknown(head, userRefusal(verified, this.#options, host), verified.name);
    }
    const judged = { ...head, authorized: true, unauthorized: undefined };
    return { judged, token: verified.name, user: verified };
  }
}

const unknown = (head: RequestHead, unauthorized: HttpRefusal | undefined, token?: string): UserVerdict => ({
  judged: { ...head, authorized: false, unauthorized },
  token,
  user: undefined,
});

/** The headers of the protected resource metadata: any allowed page may read it. */
const metadataHeaders = (headers: IncomingHttpHeaders): Readonly<Record<string, string>> => ({
  ...preflightHeaders(headers),
  'content-type': 'application/json',
  'cache-control': 'no-store',
});
