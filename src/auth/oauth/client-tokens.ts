import { causeText, ProxyError } from '../../core/errors/errors.ts';
import { SingleFlight } from '../../core/time/single-flight.ts';
import { abortable, settleWithin, withTimeout } from '../../core/time/waits.ts';
import {
  type AccessToken,
  accessTokenOf,
  clientPrincipal,
  MIN_RENEWAL_INTERVAL_MS,
  type TokenSource,
} from './access-token.ts';
import type { BearerChallenge } from './challenge.ts';
import { configuredClient } from './client-identity.ts';
import { discover } from './discovery.ts';
import { heldTokens, renewAt } from './login-record.ts';
import { noToken } from './oauth-errors.ts';
import { chooseScope, coversScope, scopeUnion } from './scopes.ts';
import {
  MAX_EARLY_WAIT_MS,
  MAX_RENEWAL_MS,
  RENEWAL_RETRY_MS,
  type TokenSourceOptions,
} from './stored-login.ts';
import { requestTokens } from './token-requests.ts';

/**
 * The tokens of `--oauth-flow client-credentials`. They are kept in memory only,
 * because a new process obtains its own without a user.
 */
export class ClientTokens implements TokenSource {
  readonly #options: TokenSourceOptions;
  readonly identityMayChange = false;
  #token: AccessToken | undefined;
  readonly #requesting = new SingleFlight<AccessToken>();
  /** The server's demands; undefined before its first refusal. */
  #challenge: BearerChallenge | undefined;
  /** All scopes that calls have needed. */
  #demandedScope: string | undefined;
  /** Monotonic times. */
  #renewalAt = Number.NEGATIVE_INFINITY;
  #replacedAt = Number.NEGATIVE_INFINITY;

  constructor(options: TokenSourceOptions) {
    this.#options = options;
  }

  get principal(): string | undefined {
    return this.#token?.principal;
  }

  get source(): string {
    const { clientId } = this.#options.settings;
    return `${this.#token?.tokens.issuer ?? 'the authorization server'} for the client ${clientId}`;
  }

  get renewal(): string {
    return 'The next request obtains another one.';
  }

  usable(): AccessToken | undefined {
    const token = this.#token;
    return token && !this.#isRenewalDue(token) ? token : undefined;
  }

  async current(signal: AbortSignal): Promise<AccessToken | undefined> {
    const token = this.#token;
    // The first request has no token, because its answer names the metadata and the scopes.
    if (!token) return this.#challenge ? abortable(this.#request(), signal) : undefined;
    if (!this.#isRenewalDue(token)) return token;
    const { clock, events, settings } = this.#options;
    const renewed = this.#request();
    if ((token.tokens.expiresAt ?? 0) <= clock.now()) return abortable(renewed, signal);
    renewed.catch((error: unknown) =>
      events.emit({
        type: 'credentials.refresh-failed',
        profile: settings.profile,
        message: causeText(error),
      }),
    );
    const early = await settleWithin(clock, MAX_EARLY_WAIT_MS, abortable(renewed, signal));
    signal.throwIfAborted();
    return early ?? token;
  }

  async replace(
    refused: AccessToken | undefined,
    challenge: BearerChallenge,
    signal: AbortSignal,
  ): Promise<AccessToken | undefined> {
    if (refused && this.#token && this.#token !== refused) return this.#token;
    this.#challenge = { ...this.#challenge, ...withoutUndefined(challenge) };
    if (refused && challenge.error === 'insufficient_scope') {
      const { scope } = challenge;
      if (scope === undefined || coversScope(refused.tokens.scope, scope)) return undefined;
      this.#demandedScope = scopeUnion(this.#demandedScope, refused.tokens.scope, scope);
    } else if (refused) {
      const { clock } = this.#options;
      if (clock.monotonic() - this.#replacedAt < MIN_RENEWAL_INTERVAL_MS) return undefined;
      this.#replacedAt = clock.monotonic();
    }
    return abortable(this.#request(), signal);
  }

  #isRenewalDue({ tokens }: AccessToken): boolean {
    const { clock } = this.#options;
    const at = renewAt(tokens);
    return at !== undefined && clock.now() >= at && clock.monotonic() >= this.#renewalAt;
  }

  #request(): Promise<AccessToken> {
    const { clock, settings } = this.#options;
    return this.#requesting.run(() =>
      withTimeout(clock, MAX_RENEWAL_MS, (signal) => this.#requestNow(signal)).catch((error: unknown) => {
        this.#renewalAt = clock.monotonic() + RENEWAL_RETRY_MS;
        throw error instanceof ProxyError ? error : noToken(settings, error);
      }),
    ).outcome;
  }

  async #requestNow(signal: AbortSignal): Promise<AccessToken> {
    const { settings, clock, events } = this.#options;
    const deps = await this.#options.deps(signal);
    const client = configuredClient(settings);
    if (!client) throw new Error('--oauth-flow client-credentials needs a registered client id');
    const discovery = await discover(deps, this.#challenge);
    const scope = chooseScope({
      configured: settings.scopes,
      challenged: this.#challenge?.scope,
      granted: this.#demandedScope,
      supported: discovery.resourceMetadata?.scopes_supported,
      known: undefined,
      refreshes: false,
    });
    const tokens = await requestTokens(deps, discovery, client, { grant_type: 'client_credentials' }, scope);
    events.emit({ type: 'secret.known', value: tokens.access_token });
    this.#token = accessTokenOf(heldTokens(tokens, clock.now()), clientPrincipal(client.client_id));
    return this.#token;
  }
}

const withoutUndefined = (challenge: BearerChallenge): BearerChallenge =>
  Object.fromEntries(Object.entries(challenge).filter(([, value]) => value !== undefined));
