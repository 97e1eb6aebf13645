import { ProxyError } from '../../core/errors/errors.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Authorizer, Credential, CredentialRefusal, CredentialReport } from '../authorizer.ts';
import type { CredentialProvider } from '../credentials/caching-provider.ts';
import type { Principal } from '../credentials/credentials.ts';
import type { Signable, SignedHeaders, SigningScope } from '../signing.ts';
import { type DerivedKind, deriveKind, type KindSettings } from './derive-kind.ts';

/** The derived kind of one endpoint, which all profiles share. */
export interface SharedKind {
  kind: DerivedKind | undefined;
}

export interface AutoAuthorizerOptions {
  readonly shared: SharedKind;
  readonly settings: KindSettings;
  /** The host of the endpoint, for errors. */
  readonly host: string;
  readonly profile: string;
  readonly events: Events;
  /** Creates the authorizer of a kind; called at most once. */
  readonly create: (kind: DerivedKind) => Authorizer;
  /** Called when requests begin to carry a credential. */
  readonly onIdentityChange: () => void;
}

/**
 * `--auth auto`: sends requests without a credential until the server refuses one, and derives the
 * kind from that refusal, once. A refusal of a credential never leads to another kind.
 */
export class AutoAuthorizer implements Authorizer {
  readonly #options: AutoAuthorizerOptions;
  #chosen: Authorizer | undefined;
  #closed = false;

  constructor(options: AutoAuthorizerOptions) {
    this.#options = options;
  }

  get kind(): DerivedKind | undefined {
    return this.#options.shared.kind;
  }

  get scope(): SigningScope | undefined {
    return this.#authorizer?.scope;
  }

  get credentials(): CredentialProvider | undefined {
    return this.#authorizer?.credentials;
  }

  get sendsTime(): boolean {
    return this.#authorizer?.sendsTime ?? false;
  }

  get learnsFromRefusal(): boolean {
    return true;
  }

  get identityMayChange(): boolean {
    return this.#authorizer?.identityMayChange ?? false;
  }

  get principal(): Principal | undefined {
    return this.#authorizer?.principal;
  }

  current(
    signal: AbortSignal,
    onResolve?: () => void,
  ): Promise<Credential | undefined> | Credential | undefined {
    return this.#authorizer?.current(signal, onResolve);
  }

  authorize(request: Signable, credential: Credential, now: number): SignedHeaders | Promise<SignedHeaders> {
    const authorizer = this.#authorizer;
    if (!authorizer) throw new TypeError('no kind of authentication has been derived');
    return authorizer.authorize(request, credential, now);
  }

  async refresh(
    refused: Credential | undefined,
    refusal: CredentialRefusal,
    signal: AbortSignal,
  ): Promise<Credential | undefined> {
    if (refused === undefined && this.kind === undefined) this.#derive(refusal);
    const authorizer = this.#authorizer;
    if (!authorizer) return undefined;
    if (refused !== undefined) return authorizer.refresh(refused, refusal, signal);
    const credential = await authorizer.current(signal);
    if (credential !== undefined || !authorizer.learnsFromRefusal) return credential;
    return authorizer.refresh(undefined, refusal, signal);
  }

  explain(refusal: CredentialRefusal, host: string): string | undefined {
    return this.#authorizer?.explain(refusal, host);
  }

  async inspect(signal: AbortSignal): Promise<CredentialReport | undefined> {
    if (this.#authorizer) return this.#authorizer.inspect(signal);
    const text = 'none yet: the answer to the first request without credentials decides (--auth auto)';
    return { text, expiresAt: undefined, renewal: '' };
  }

  close(): void {
    this.#closed = true;
    this.#chosen?.close();
  }

  /** The authorizer of the derived kind, even if another profile derived it. */
  get #authorizer(): Authorizer | undefined {
    const { shared, create } = this.#options;
    if (this.#chosen || shared.kind === undefined || this.#closed) return this.#chosen;
    this.#chosen = create(shared.kind);
    return this.#chosen;
  }

  /** @throws ProxyError auth-rejected, if the user has to choose the kind. */
  #derive(refusal: CredentialRefusal): void {
    const { shared, settings, host, profile, events, onIdentityChange } = this.#options;
    const derived = deriveKind(refusal, settings, host);
    if (derived === undefined) return;
    if ('problem' in derived)
      throw new ProxyError('auth-rejected', derived.problem, {
        sent: 'refused',
        details: { httpStatus: refusal.status, verdict: refusal.kind },
      });
    const { kind, because } = derived;
    shared.kind = kind;
    events.emit({ type: 'auth.derived', profile, kind, because });
    onIdentityChange();
  }
}
