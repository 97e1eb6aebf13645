import { causeText, ProxyError, shuttingDown } from '../../core/errors/errors.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import { SingleFlight } from '../../core/time/single-flight.ts';
import { abortable, withTimeout } from '../../core/time/waits.ts';
import {
  type Credentials,
  hasExpired,
  type Principal,
  type RoleOptions,
  refreshDueAt,
  sameCredentials,
} from './credentials.ts';
import { noCredentials, profileLabel } from './errors.ts';
import { type FileStamps, sameStamps, stampFiles, unchanged } from './file-stamps.ts';
import { chainFailureOf, type Resolved, resolveCredentials } from './provider-chain.ts';
import { profileIn } from './shared-files.ts';
import { type CredentialSource, resolveSource, sourceFailureOf } from './source.ts';

/** Returns the credentials of one profile, and refreshes them. */
export interface CredentialProvider {
  /** The current credentials where no wait is needed; undefined where `current` resolves them. */
  usable(): Credentials | undefined;
  /**
   * The current credentials. The first call resolves them, once for all callers; `signal` ends only
   * the wait of this caller. `onResolve` is called, before `current` returns, where the caller
   * waits for a resolution.
   * @throws ProxyError `shutting-down`; or `no-credentials`, whose `details.kind` is `none`
   * (nothing is configured) or `failed`.
   */
  current(signal: AbortSignal, onResolve?: () => void): Promise<Credentials>;
  /**
   * Resolves credentials without any cache after the server rejected `rejected`, once for all
   * callers.
   * @returns different credentials, or undefined if there are none.
   */
  refresh(rejected: Credentials, signal: AbortSignal): Promise<Credentials | undefined>;
  /**
   * True if a file of the current credentials has changed: the next request may have another
   * identity.
   */
  readonly identityMayChange: boolean;
  /** The principal of the last credentials; undefined before the first ones. */
  readonly principal: Principal | undefined;
  /** Stops background refresh and a running credential_process. */
  close(): void;
}

/** The parts that a credential provider needs. */
export interface CredentialProviderOptions {
  /** Undefined: the SDK's default order, which begins with variables and AWS_PROFILE. */
  readonly profile: string | undefined;
  /** Used for STS and sign-in if the profile has no region. */
  readonly fallbackRegion: string | undefined;
  /** Must be that of the process: parts of the AWS SDK read `process.env`. */
  readonly env: NodeJS.ProcessEnv;
  /** Decides when credentials are refreshed and when a slow provider is ended. */
  readonly clock: Clock;
  /** Receives resolutions and refreshes, and the secrets that logs must redact. */
  readonly events: Events;
  /** Assumed with the credentials of the profile. */
  readonly role?: RoleOptions | undefined;
  /** Called when the credentials may belong to another identity, after an edit or a login. */
  readonly onIdentityChange?: (() => void) | undefined;
  /** A request handler of the AWS SDK that uses the HTTP proxy and the certificates. */
  readonly requestHandler?: unknown;
  /** Returns the credentials in place of profile, role and environment. */
  readonly source?: CredentialSource | undefined;
}

/** Between two attempts to refresh credentials that are still valid. */
export const REFRESH_RETRY_MS = 30_000;
const REFRESH_RETRY_JITTER = 0.2;
/** Ends a provider that hangs. Above the time limit of a credential_process, plus STS. */
export const MAX_RESOLVE_MS = 90_000;

interface CacheEntry {
  readonly credentials: Credentials;
  /** The files as last checked. */
  stamps: FileStamps;
  /** The files that the credentials were made from. */
  readonly madeFrom: FileStamps;
  /** Wall clock; undefined for credentials that do not expire. */
  refreshAt: number | undefined;
  /** Used all the same: perhaps this machine's clock is wrong, and the server decides. */
  readonly arrivedExpired: boolean;
  /** The server rejected the credentials, and a refresh returned no others. */
  rejected: boolean;
}

/**
 * Creates the credential provider of one profile. Reads and loads nothing before the first
 * `current`.
 */
export function createCredentialProvider(options: CredentialProviderOptions): CredentialProvider {
  return new CachingProvider(options);
}

class CachingProvider implements CredentialProvider {
  readonly #options: CredentialProviderOptions;
  readonly #profile: string | undefined;
  readonly #label: string;
  readonly #closing = new AbortController();
  #cached: CacheEntry | undefined;
  readonly #resolving = new SingleFlight<CacheEntry>();
  readonly #refreshing = new SingleFlight<void>();
  /** An edit of the files that `#cached` does not include. */
  #edited = false;
  /** The last entry, kept after `#cached` is dropped. */
  #last: CacheEntry | undefined;
  #retryAt = Number.NEGATIVE_INFINITY;

  constructor(options: CredentialProviderOptions) {
    this.#options = options;
    this.#profile = profileIn(options.profile, options.env);
    this.#label = profileLabel(this.#profile);
  }

  async current(signal: AbortSignal, onResolve?: () => void): Promise<Credentials> {
    signal.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    const usable = this.usable();
    if (usable) return usable;
    onResolve?.();
    const cached = this.#unexpired;
    return cached ? this.#afterEdit(cached, signal) : this.#resolved(signal);
  }

  usable(): Credentials | undefined {
    const cached = this.#unexpired;
    if (!cached || this.#isEdited(cached)) return undefined;
    this.#refreshIfDue(cached);
    return cached.credentials;
  }

  get #unexpired(): CacheEntry | undefined {
    const cached = this.#cached;
    if (!cached || cached.rejected) return undefined;
    const { arrivedExpired, credentials } = cached;
    // Most credentials of a file never expire, and need no look at the clock.
    if (arrivedExpired || credentials.expiration === undefined) return cached;
    return hasExpired(credentials, this.#options.clock.now()) ? undefined : cached;
  }

  #refreshIfDue({ refreshAt }: CacheEntry): void {
    const { clock } = this.#options;
    const isDue = refreshAt !== undefined && clock.now() >= refreshAt;
    if (isDue && clock.monotonic() >= this.#retryAt) {
      this.#resolve().catch((error: unknown) => this.#reportRefreshFailure(error));
    }
  }

  async refresh(rejected: Credentials, signal: AbortSignal): Promise<Credentials | undefined> {
    signal.throwIfAborted();
    if (this.#otherThan(rejected) === undefined) {
      const { outcome } = this.#refreshing.run(() => this.#refresh(rejected));
      await abortable(outcome, signal);
    }
    return this.#otherThan(rejected);
  }

  get identityMayChange(): boolean {
    // Before the first credentials there is no identity that could change.
    if (!this.#cached) return this.#last !== undefined;
    return this.#edited || !unchanged(this.#cached.stamps);
  }

  get principal(): Principal | undefined {
    return this.#last?.credentials.principal;
  }

  close(): void {
    this.#closing.abort(shuttingDown());
    this.#cached = undefined;
  }

  #otherThan(rejected: Credentials): Credentials | undefined {
    const credentials = this.#cached?.credentials;
    return credentials === undefined || sameCredentials(credentials, rejected) ? undefined : credentials;
  }

  /** Never rejects: without other credentials the caller returns the server's answer. */
  async #refresh(rejected: Credentials): Promise<void> {
    const joined = this.#resolving.current !== undefined;
    try {
      await this.#resolve();
      // A resolution that began before the server's answer may have read the old files.
      if (joined && this.#otherThan(rejected) === undefined) await this.#resolve();
    } catch (error) {
      this.#reportRefreshFailure(error);
      const cached = this.#cached;
      if (cached !== undefined && sameCredentials(cached.credentials, rejected)) cached.rejected = true;
    }
  }

  async #resolved(signal: AbortSignal): Promise<Credentials> {
    const joined = this.#resolving.current !== undefined;
    const entry = await abortable(this.#resolve(), signal);
    // A resolution that began before this call may have read the files before an edit.
    if (!joined || !this.#isEdited(entry)) return entry.credentials;
    return (await abortable(this.#resolve(), signal)).credentials;
  }

  /**
   * An edit or a login counts at once. If it leads to no credentials, temporary ones stay in use
   * until they expire.
   */
  async #afterEdit(cached: CacheEntry, signal: AbortSignal): Promise<Credentials> {
    try {
      return await this.#resolved(signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#closing.signal.throwIfAborted();
      if (cached.credentials.expiration === undefined) {
        if (this.#cached === cached) this.#cached = undefined;
        throw error;
      }
      this.#reportRefreshFailure(error);
      cached.refreshAt = Number.NEGATIVE_INFINITY;
      return cached.credentials;
    }
  }

  /** Stays true until the edit has been resolved, for all calls that arrive by then. */
  #isEdited(entry: CacheEntry): boolean {
    if (!unchanged(entry.stamps)) {
      this.#edited = true;
      // Recorded first, so that an edit without a result is tried once, not on every request.
      entry.stamps = stampFiles(entry.stamps.keys());
    }
    return this.#edited;
  }

  /** One resolution for all callers. A failure is not cached. */
  #resolve(): Promise<CacheEntry> {
    return this.#resolving.run(() =>
      this.#resolveNow().finally(() => {
        this.#edited = false;
      }),
    ).outcome;
  }

  async #resolveNow(): Promise<CacheEntry> {
    const { clock, events } = this.#options;
    const closing = this.#closing.signal;
    closing.throwIfAborted();
    this.#retryAt =
      clock.monotonic() + REFRESH_RETRY_MS * (1 + REFRESH_RETRY_JITTER * (2 * clock.random() - 1));
    const since = clock.monotonic();
    const stop = new AbortController();
    const onClose = (): void => stop.abort(closing.reason);
    closing.addEventListener('abort', onClose, { once: true });
    try {
      const resolving = withTimeout(clock, MAX_RESOLVE_MS, (late) =>
        abortable(this.#resolveFrom(stop.signal), late),
      );
      return this.#store(await abortable(resolving, closing), since);
    } catch (error) {
      closing.throwIfAborted();
      const why = this.#options.source ? sourceFailureOf(error) : chainFailureOf(error);
      const failure = noCredentials(this.#profile, why);
      const ms = clock.monotonic() - since;
      events.emit({ type: 'credentials.failed', profile: this.#label, message: failure.message, ms });
      throw failure;
    } finally {
      closing.removeEventListener('abort', onClose);
      stop.abort();
    }
  }

  #resolveFrom(signal: AbortSignal): Promise<Resolved> {
    const { source } = this.#options;
    return source
      ? resolveSource(source)
      : resolveCredentials({ ...this.#options, profile: this.#profile, signal });
  }

  /** @param since - when its resolution began (monotonic). */
  #store({ credentials, stamps }: Resolved, since: number): CacheEntry {
    const now = this.#options.clock.now();
    const entry: CacheEntry = {
      credentials,
      stamps,
      madeFrom: stamps,
      refreshAt: refreshDueAt(credentials.expiration, now, this.#options.clock.random()),
      arrivedExpired: hasExpired(credentials, now),
      rejected: false,
    };
    const before = this.#last;
    this.#cached = entry;
    this.#last = entry;
    if (before === undefined || !sameCredentials(before.credentials, credentials))
      this.#report(entry, before, this.#options.clock.monotonic() - since);
    return entry;
  }

  #report({ credentials, madeFrom }: CacheEntry, before: CacheEntry | undefined, ms: number): void {
    const { events, onIdentityChange } = this.#options;
    const { principal, secretAccessKey, sessionToken, expiration, providerName = '' } = credentials;
    // A refresh keeps files and identity. Other files may mean another identity with the same
    // principal.
    if (before && (before.credentials.principal !== principal || !sameStamps(before.madeFrom, madeFrom)))
      onIdentityChange?.();
    events.emit({ type: 'secret.known', value: secretAccessKey });
    if (sessionToken !== undefined) events.emit({ type: 'secret.known', value: sessionToken });
    const expiresAt = expiration?.toISOString();
    events.emit({ type: 'credentials.resolved', profile: this.#label, providerName, expiresAt, ms });
  }

  #reportRefreshFailure(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    const message = error instanceof ProxyError ? error.message : causeText(error);
    this.#options.events.emit({ type: 'credentials.refresh-failed', profile: this.#label, message });
  }
}
