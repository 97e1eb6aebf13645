import type { Authorizer, Credential, CredentialRefusal, CredentialReport } from './authorizer.ts';
import type { CredentialProvider } from './credentials/caching-provider.ts';
import type { Principal } from './credentials/credentials.ts';
import type { AuthKind } from './kinds.ts';
import type { Signable, SignedHeaders, SigningScope } from './signing.ts';

export interface LazyAuthorizerOptions {
  /** Undefined for `auto`, which derives it. */
  readonly kind: Exclude<AuthKind, 'auto'> | undefined;
  /** Imports the module of this kind and creates its authorizer. */
  readonly load: () => Promise<Authorizer>;
  /** The next members are those of `Authorizer`, before the module is loaded. */
  readonly scope?: SigningScope | undefined;
  readonly credentials?: CredentialProvider | undefined;
  readonly sendsTime?: boolean;
  readonly learnsFromRefusal?: boolean;
}

/**
 * Loads the implementation of one kind of `--auth` with the first request, so that the start of all
 * other kinds does not load it.
 */
export class LazyAuthorizer implements Authorizer {
  readonly #options: LazyAuthorizerOptions;
  #loading: Promise<Authorizer> | undefined;
  #loaded: Authorizer | undefined;
  #closed = false;

  constructor(options: LazyAuthorizerOptions) {
    this.#options = options;
  }

  get kind(): Authorizer['kind'] {
    return this.#loaded ? this.#loaded.kind : this.#options.kind;
  }

  get scope(): SigningScope | undefined {
    return this.#loaded ? this.#loaded.scope : this.#options.scope;
  }

  get credentials(): CredentialProvider | undefined {
    return this.#loaded ? this.#loaded.credentials : this.#options.credentials;
  }

  get sendsTime(): boolean {
    return this.#loaded ? this.#loaded.sendsTime : this.#options.sendsTime === true;
  }

  get learnsFromRefusal(): boolean {
    return this.#loaded ? this.#loaded.learnsFromRefusal : this.#options.learnsFromRefusal === true;
  }

  get identityMayChange(): boolean {
    return this.#loaded?.identityMayChange ?? this.#options.credentials?.identityMayChange ?? false;
  }

  get principal(): Principal | undefined {
    return this.#loaded ? this.#loaded.principal : this.#options.credentials?.principal;
  }

  current(
    signal: AbortSignal,
    onResolve?: () => void,
  ): Promise<Credential | undefined> | Credential | undefined {
    if (this.#loaded) return this.#loaded.current(signal, onResolve);
    return this.#load().then((authorizer) => authorizer.current(signal, onResolve));
  }

  /** Called with a credential of `current` only, which has loaded the implementation. */
  authorize(request: Signable, credential: Credential, now: number): SignedHeaders | Promise<SignedHeaders> {
    return this.#loaded
      ? this.#loaded.authorize(request, credential, now)
      : this.#load().then((authorizer) => authorizer.authorize(request, credential, now));
  }

  async refresh(
    refused: Credential | undefined,
    refusal: CredentialRefusal,
    signal: AbortSignal,
  ): Promise<Credential | undefined> {
    return (await this.#load()).refresh(refused, refusal, signal);
  }

  explain(refusal: CredentialRefusal, host: string): string | undefined {
    return this.#loaded?.explain(refusal, host);
  }

  async inspect(signal: AbortSignal): Promise<CredentialReport | undefined> {
    return (await this.#load()).inspect(signal);
  }

  close(): void {
    this.#closed = true;
    if (this.#loaded) this.#loaded.close();
    else this.#options.credentials?.close();
  }

  #load(): Promise<Authorizer> {
    this.#loading ??= this.#options.load().then(
      (authorizer) => {
        this.#loaded = authorizer;
        if (this.#closed) authorizer.close();
        return authorizer;
      },
      (error: unknown) => {
        // The next request tries again.
        this.#loading = undefined;
        throw error;
      },
    );
    return this.#loading;
  }
}
