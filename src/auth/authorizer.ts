import type { CredentialProvider } from './credentials/caching-provider.ts';
import type { Principal } from './credentials/credentials.ts';
import type { AuthKind } from './kinds.ts';
import type { Signable, SignedHeaders, SigningScope } from './signing.ts';

/** AWS credentials or an access token, which authenticates requests. Immutable. */
export interface Credential {
  /** The identity that it belongs to; an MCP session belongs to one. Absent if it is unknown. */
  readonly principal?: Principal;
  /** Where it came from. Absent if that is unknown. */
  readonly providerName?: string;
}

/** The reasons for 401 and 403. Each has another remedy. */
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

/** A response that refuses a credential. */
export interface CredentialRefusal {
  /** 401 or 403, or 400 where the body rejects the credentials. */
  readonly status: number;
  readonly kind: RefusalKind;
  /** The message of the server, shortened and without secrets. */
  readonly message: string;
  /** The WWW-Authenticate header, or "" for a response without it. */
  readonly challenge: string;
  /** The x-amzn-errortype header. */
  readonly errorType?: string;
}

/** The description of a credential for `doctor`. Contains no secret. */
export interface CredentialReport {
  /** One line: the credential, masked, and its source. */
  readonly text: string;
  /** The end of the credential; undefined if it has none, or it is unknown. */
  readonly expiresAt: Date | undefined;
  /** The instruction for the user when it has expired. */
  readonly renewal: string;
}

/**
 * Authenticates the requests of one profile; one implementation for each kind of `--auth`. Opens,
 * reads and loads nothing before the first request.
 */
export interface Authorizer<C extends Credential = Credential> {
  /** `auto` derives it from the first refusal; undefined until then. */
  readonly kind: Exclude<AuthKind, 'auto'> | undefined;
  /** The scope of signatures; undefined where nothing is signed. */
  readonly scope: SigningScope | undefined;
  /** Provides the AWS credentials that it signs with; undefined where it uses none. */
  readonly credentials: CredentialProvider | undefined;
  /** True if its headers contain the time, so that the server may reject this machine's clock. */
  readonly sendsTime: boolean;
  /** True if a refusal of a request without a credential leads to one (`refresh`). */
  readonly learnsFromRefusal: boolean;
  /** True if the next request may have another identity. */
  readonly identityMayChange: boolean;
  /** The identity of the last credential; undefined before the first one. */
  readonly principal: Principal | undefined;
  /**
   * The current credential; undefined: the request is sent without one. Resolves it once for all
   * callers; `signal` ends only the wait of this caller. `onResolve` is called, before `current`
   * returns, where the caller waits for a resolution.
   * @throws ProxyError no-credentials, or another that says what the user has to do.
   */
  current(signal: AbortSignal, onResolve?: () => void): Promise<C | undefined> | C | undefined;
  /**
   * The headers of one attempt: host, content-type if given, and those that authenticate it.
   * @param now - the time for signatures, wall clock.
   */
  authorize(request: Signable, credential: C, now: number): SignedHeaders | Promise<SignedHeaders>;
  /**
   * Called at most once per request after a refusal, once for all callers.
   * @param refused - the credential of the request; undefined only with `learnsFromRefusal`.
   * @returns another credential, with which the request is sent once more; or undefined.
   * @throws ProxyError instead of the server's answer, where the user can do more with it.
   */
  refresh(refused: C | undefined, refusal: CredentialRefusal, signal: AbortSignal): Promise<C | undefined>;
  /** The error text for a refusal; undefined: the text for AWS signatures fits. */
  explain(refusal: CredentialRefusal, host: string): string | undefined;
  /**
   * Resolves the credential and describes it; undefined where none is used, or `credentials` are.
   * @throws ProxyError as `current` does.
   */
  inspect(signal: AbortSignal): Promise<CredentialReport | undefined>;
  /** Stops background work. */
  close(): void;
}
