import { ProxyError } from '../core/errors/errors.ts';
import type { Authorizer, CredentialRefusal, RefusalKind } from './authorizer.ts';
import type { CredentialProvider } from './credentials/caching-provider.ts';
import type { Credentials, Principal } from './credentials/credentials.ts';
import { signer } from './signer.ts';
import type { Signable, SignedHeaders, Signer, SigningScope } from './signing.ts';

export interface SigV4AuthorizerOptions {
  readonly scope: SigningScope;
  readonly credentials: CredentialProvider;
  /** Absent: SigV4. */
  readonly kind?: 'sigv4' | 'sigv4a';
}

/** Refusals after which the provider may return other credentials. */
const RENEWABLE: ReadonlySet<RefusalKind> = new Set(['expired', 'invalid-token']);

/** Loads the signer with the first signature. */
const signV4a: Signer = async (...request) => {
  const { signRequestV4a } = await import('./smithy-sigv4a.ts');
  return signRequestV4a(...request);
};

/**
 * `--auth sigv4` and `--auth sigv4a`: signs each request with AWS Signature Version 4, or 4A.
 */
export class SigV4Authorizer implements Authorizer<Credentials> {
  readonly kind: 'sigv4' | 'sigv4a';
  readonly #sign: Signer;
  readonly scope: SigningScope;
  readonly credentials: CredentialProvider;
  readonly sendsTime = true;
  readonly learnsFromRefusal = false;

  constructor({ scope, credentials, kind = 'sigv4' }: SigV4AuthorizerOptions) {
    this.kind = kind;
    this.#sign = kind === 'sigv4a' ? signV4a : signer;
    this.scope = scope;
    this.credentials = credentials;
  }

  get identityMayChange(): boolean {
    return this.credentials.identityMayChange;
  }

  get principal(): Principal | undefined {
    return this.credentials.principal;
  }

  current(
    signal: AbortSignal,
    onResolve?: () => void,
  ): Promise<Credentials | undefined> | Credentials | undefined {
    return this.credentials.usable() ?? this.credentials.current(signal, onResolve);
  }

  authorize(
    request: Signable,
    credentials: Credentials,
    now: number,
  ): SignedHeaders | Promise<SignedHeaders> {
    return this.#sign(request, credentials, this.scope, new Date(now));
  }

  async refresh(
    refused: Credentials,
    { kind }: CredentialRefusal,
    signal: AbortSignal,
  ): Promise<Credentials | undefined> {
    return RENEWABLE.has(kind) ? this.credentials.refresh(refused, signal) : undefined;
  }

  explain({ status, kind, message }: CredentialRefusal, host: string): string | undefined {
    if (this.kind === 'sigv4' || kind !== 'signature') return undefined;
    const { service, region } = this.scope;
    const said = message ? ` The server said: ${message}` : '';
    return `The server at ${host} refused the signature (HTTP ${status}). It was made with SigV4A for service '${service}' in the regions '${region}': check --service and --region-set. Servers in one region may accept --auth sigv4 only.${said}`;
  }

  async inspect(): Promise<undefined> {
    return undefined;
  }

  close(): void {
    this.credentials.close();
  }
}

/** `--skip-auth`: sends requests unsigned where no credentials are configured. */
export class OptionalSigV4Authorizer extends SigV4Authorizer {
  readonly #onMissing: () => void;

  /** @param onMissing - called for each request that is sent unsigned. */
  constructor(options: SigV4AuthorizerOptions, onMissing: () => void) {
    super(options);
    this.#onMissing = onMissing;
  }

  override current(
    signal: AbortSignal,
    onResolve?: () => void,
  ): Promise<Credentials | undefined> | Credentials | undefined {
    return this.credentials.usable() ?? this.#resolved(signal, onResolve);
  }

  async #resolved(signal: AbortSignal, onResolve?: () => void): Promise<Credentials | undefined> {
    try {
      return await this.credentials.current(signal, onResolve);
    } catch (error) {
      const none = error instanceof ProxyError && error.details.kind === 'none';
      if (!none) throw error;
      this.#onMissing();
      return undefined;
    }
  }
}
