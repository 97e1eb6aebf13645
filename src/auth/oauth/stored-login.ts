import { causeText, ProxyError } from '../../core/errors/errors.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import { SingleFlight } from '../../core/time/single-flight.ts';
import { abortable, settleWithin, withTimeout } from '../../core/time/waits.ts';
import {
  type AccessToken,
  accessTokenOf,
  loginPrincipal,
  MIN_RENEWAL_INTERVAL_MS,
  type TokenSource,
} from './access-token.ts';
import type { BearerChallenge } from './challenge.ts';
import { MetadataError } from './discovery.ts';
import { heldTokens, type LoginRecord, renewAt } from './login-record.ts';
import type { LoginStore } from './login-store.ts';
import type { OAuthDeps } from './oauth-deps.ts';
import { isFinalRefusal, loginRequired, noToken } from './oauth-errors.ts';
import { loginCommand, type OAuthSettings } from './oauth-settings.ts';
import { coversScope, scopeUnion } from './scopes.ts';
import { refreshLogin } from './token-requests.ts';

export interface TokenSourceOptions {
  readonly settings: OAuthSettings;
  readonly clock: Clock;
  readonly events: Events;
  /** Loads the SDK; the signal ends the requests. */
  readonly deps: (signal: AbortSignal) => Promise<OAuthDeps>;
  /** Called when the tokens belong to another login than before. */
  readonly onIdentityChange: () => void;
}

/** How often the store is checked for a login or logout of another process. */
const CHECK_STORE_MS = 1_000;
/** The longest refresh, with the discovery of the server; shorter than the life of a lock. */
export const MAX_RENEWAL_MS = 60_000;
/** Between two attempts to renew a token that is still valid. */
export const RENEWAL_RETRY_MS = 30_000;
/** How long a call waits for the renewal of a token that is still valid. */
export const MAX_EARLY_WAIT_MS = 2_000;

interface Held {
  readonly token: AccessToken;
  readonly record: LoginRecord;
  /** The stamp of the store when the record was read. */
  readonly stamp: string;
  /** Undefined if it cannot be renewed, or is renewed only after a refusal. */
  readonly renewAt: number | undefined;
}

/** The tokens of a person's login, which `mcp-sigv4-proxy login` has stored. */
export class StoredLogin implements TokenSource {
  readonly #options: TokenSourceOptions;
  readonly #store: LoginStore;
  #held: Held | undefined;
  #principal: string | undefined;
  /** The refusal that ended the login, as the end of a sentence, and the refused token. */
  #endedBecause = '';
  #endedToken: string | undefined;
  readonly #renewing = new SingleFlight<void>();
  /** Monotonic times. */
  #checkAt = Number.NEGATIVE_INFINITY;
  #renewalAt = Number.NEGATIVE_INFINITY;
  #renewedAt = Number.NEGATIVE_INFINITY;

  constructor(store: LoginStore, options: TokenSourceOptions) {
    this.#store = store;
    this.#options = options;
  }

  get principal(): string | undefined {
    return this.#principal;
  }

  get identityMayChange(): boolean {
    return this.#held !== undefined && this.#store.stamp !== this.#held.stamp;
  }

  get source(): string {
    const place = this.#store.place === 'keychain' ? 'the keychain' : this.#store.path;
    const issuer = this.#held?.token.tokens.issuer ?? 'an unknown authorization server';
    return `the login at ${issuer}, stored in ${place}`;
  }

  get renewal(): string {
    return `Run ${loginCommand(this.#options.settings)}`;
  }

  usable(): AccessToken | undefined {
    const held = this.#held;
    if (!held || this.#isStale(held) || this.#isRenewalDue(held)) return undefined;
    return held.token;
  }

  async current(signal: AbortSignal): Promise<AccessToken | undefined> {
    if (!this.#held || this.#isStale(this.#held)) await this.#read();
    const held = this.#held;
    // A request without a token would make the session of the ended login look lost.
    if (!held && this.#principal !== undefined) throw this.#ended();
    if (!held || !this.#isRenewalDue(held)) return held?.token;
    const { clock, events, settings } = this.#options;
    const renewed = this.#renew(held.token.tokens.access_token);
    if ((held.token.tokens.expiresAt ?? 0) <= clock.now()) {
      await abortable(renewed, signal);
    } else {
      renewed.catch((error: unknown) =>
        events.emit({
          type: 'credentials.refresh-failed',
          profile: settings.profile,
          message: causeText(error),
        }),
      );
      await settleWithin(clock, MAX_EARLY_WAIT_MS, abortable(renewed, signal));
      signal.throwIfAborted();
    }
    return this.#held?.token;
  }

  async replace(
    refused: AccessToken | undefined,
    challenge: BearerChallenge,
    signal: AbortSignal,
  ): Promise<AccessToken | undefined> {
    const { settings, clock } = this.#options;
    if (refused && challenge.error === 'insufficient_scope') return this.#stepUp(refused, challenge, signal);
    await this.#read();
    const held = this.#held;
    if (!held) {
      if (refused) throw this.#ended();
      throw loginRequired(settings, `${settings.endpoint.host} requires a login.`, challenge.scope);
    }
    const { tokens } = held.token;
    if (tokens.access_token !== refused?.tokens.access_token) return held.token;
    if (clock.monotonic() - this.#renewedAt < MIN_RENEWAL_INTERVAL_MS) return undefined;
    if (tokens.refresh_token === undefined)
      throw loginRequired(settings, `The login for ${settings.endpoint.host} has expired.`);
    await abortable(this.#renew(tokens.access_token), signal);
    return this.#held?.token;
  }

  /** Keeps the demanded scopes for the next login. Without new ones, a login would not help. */
  async #stepUp(
    refused: AccessToken,
    { scope }: BearerChallenge,
    signal: AbortSignal,
  ): Promise<AccessToken | undefined> {
    const { settings } = this.#options;
    const granted = refused.tokens.scope;
    await this.#read();
    const held = this.#held;
    const isOther = held && held.token.tokens.access_token !== refused.tokens.access_token;
    if (isOther && coversScope(held.token.tokens.scope, scope)) return held.token;
    if (scope === undefined || coversScope(granted, scope)) return undefined;
    const demandedScope = scopeUnion(held?.record.demandedScope, scope);
    if (held && demandedScope !== held.record.demandedScope)
      await this.#store.locked(signal, async () => {
        const record = await this.#store.read();
        if (record) await this.#store.write({ ...record, demandedScope });
      });
    const why = `The login for ${settings.endpoint.host} lacks the scope that this call needs (${scope}).`;
    throw loginRequired(settings, why, scope);
  }

  #ended(): ProxyError {
    const { settings } = this.#options;
    return loginRequired(settings, `The login for ${settings.endpoint.host} has ended${this.#endedBecause}.`);
  }

  #isStale({ stamp }: Held): boolean {
    const now = this.#options.clock.monotonic();
    if (now < this.#checkAt) return false;
    // Stale until it is read again.
    if (this.#store.stamp !== stamp) return true;
    this.#checkAt = now + CHECK_STORE_MS;
    return false;
  }

  #isRenewalDue({ renewAt: at }: Held): boolean {
    const { clock } = this.#options;
    return at !== undefined && clock.now() >= at && clock.monotonic() >= this.#renewalAt;
  }

  /** @throws ProxyError if the stored login cannot be used. */
  async #read(): Promise<void> {
    // The stamp is read before the record, so that the next check finds a write in between.
    const { stamp } = this.#store;
    try {
      this.#take(await this.#store.read(), stamp);
    } catch (error) {
      if (error instanceof ProxyError) throw error;
      throw new ProxyError('no-credentials', `${causeText(error)}.`, { sent: 'no', cause: error });
    }
  }

  #take(record: LoginRecord | undefined, stamp: string): void {
    const tokens = record?.tokens;
    if (!record || !tokens) {
      this.#held = undefined;
      return;
    }
    if (tokens.access_token !== this.#endedToken) this.#endedBecause = '';
    const { events, onIdentityChange } = this.#options;
    for (const value of [tokens.access_token, tokens.refresh_token])
      if (value !== undefined) events.emit({ type: 'secret.known', value });
    const principal = loginPrincipal(record);
    this.#held = {
      token: accessTokenOf(tokens, principal),
      record,
      stamp,
      renewAt: tokens.refresh_token === undefined ? undefined : renewAt(tokens),
    };
    const isOther = this.#principal !== undefined && this.#principal !== principal;
    this.#principal = principal;
    if (isOther) onIdentityChange();
  }

  /** Continues without callers: an aborted refresh would lose the next refresh token. */
  #renew(used: string): Promise<void> {
    const { clock } = this.#options;
    return this.#renewing.run(() =>
      withTimeout(clock, MAX_RENEWAL_MS, (signal) =>
        this.#store.locked(signal, () => this.#renewLocked(used, signal)),
      ).catch((error: unknown) => {
        this.#renewalAt = clock.monotonic() + RENEWAL_RETRY_MS;
        throw error instanceof ProxyError ? error : noToken(this.#options.settings, error);
      }),
    ).outcome;
  }

  async #renewLocked(used: string, signal: AbortSignal): Promise<void> {
    const { clock, deps } = this.#options;
    const record = await this.#store.read();
    // Another process has renewed it, or the user has logged out or in again.
    if (record?.tokens?.access_token !== used) {
      this.#take(record, this.#store.stamp);
      return;
    }
    try {
      const tokens = await refreshLogin(await deps(signal), record);
      const renewed = { ...record, tokens: heldTokens(tokens, clock.now()) };
      await this.#store.write(renewed);
      this.#take(renewed, this.#store.stamp);
      this.#renewedAt = clock.monotonic();
    } catch (error) {
      if (!isFinalRefusal(error) && !(error instanceof MetadataError)) throw error;
      // Set before the write: then other calls find no token, and report this reason.
      this.#endedBecause = `: ${causeText(error)}`;
      this.#endedToken = used;
      // The client is kept for the next login.
      await this.#store.write({ ...record, tokens: undefined });
      this.#take(undefined, '');
      throw this.#ended();
    }
  }
}
