import { causeText, ProxyError } from '../../core/errors/errors.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { abortable, type Clock } from '../../core/time/clock.ts';
import { type Credentials, hasExpired, type Principal, refreshDueAt, sameKeys } from './credentials.ts';
import { adviceFor, type CredentialFailure, causeWithoutSecrets, profileLabel } from './errors.ts';
import { type FileStamps, sameStamps, stampFiles } from './files.ts';
import { within } from './limit.ts';
import { ChainFailure, type Resolved, type RoleOptions, resolveKeys } from './provider-chain.ts';

export type { Credentials } from './credentials.ts';

/** Credentials as the signer wants them. */
export interface CachingProvider {
  /**
   * The current set; resolved on first need, once for all who wait. `signal` only makes this caller
   * leave.
   * @throws ProxyError `no-credentials`, its `details.kind` telling `none` (nowhere to be had) from
   * `failed`; or `shutting-down`.
   */
  current(signal: AbortSignal): Promise<Credentials>;
  /**
   * After the server called `used` expired or invalid: looks past every cache once, once for all
   * who wait.
   * @returns a set that differs from `used`, or undefined when there is none newer.
   */
  renewed(used: Credentials, signal: AbortSignal): Promise<Credentials | undefined>;
  /**
   * True where a file that the current set was made from has changed since: the next request may be
   * signed by somebody else.
   */
  readonly inDoubt: boolean;
  /** Whose the set is that was there last; undefined before the first. */
  readonly principal: Principal | undefined;
  /** Stops background refresh and kills a running credential_process. */
  close(): void;
}

export interface CachingProviderOptions {
  /**
   * undefined = the SDK's own default order: environment first, then AWS_PROFILE or [default], ...
   */
  readonly profile: string | undefined;
  /** For STS and sign-in when the profile has no region: the signing region. */
  readonly fallbackRegion: string | undefined;
  /**
   * The process's own: parts of the AWS SDK (SSO, web identity, containers) read that, whatever is
   * given here.
   */
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly events: Events;
  /** Assumed over whatever the profile has. */
  readonly role?: RoleOptions | undefined;
  /** Called where an edit or a login has brought another set: it may be somebody else's. */
  readonly replaced?: (() => void) | undefined;
  /** An SDK-style handler that goes through the HTTP proxy with the right CA. */
  readonly requestHandler?: unknown;
}

/** Between two tries to refresh a set that still serves. */
export const REFRESH_RETRY_MS = 30_000;
const REFRESH_RETRY_JITTER = 0.2;
/**
 * A provider that hangs must not hang the requests after it too. Above the limit of a
 * credential_process, plus STS.
 */
export const RESOLVE_LIMIT_MS = 90_000;

interface HeldCredentials extends Omit<Resolved, 'prints'> {
  prints: FileStamps;
  /** What the set was made from; `prints` move on with what has been looked at. */
  readonly madeFrom: FileStamps;
  /** Wall clock; undefined for a set that does not expire. */
  refreshAt: number | undefined;
  /** Served all the same: perhaps it is our clock that is wrong, and the server decides. */
  readonly arrivedExpired: boolean;
  /**
   * The server refused it and there was no way to a newer one, so that the next request must hear
   * why.
   */
  rejected: boolean;
}

/** Makes the credentials of one profile. Nothing is read or loaded before the first `current`. */
export function createCredentialSource(options: CachingProviderOptions): CachingProvider {
  return new Source(options);
}

class Source implements CachingProvider {
  readonly #options: CachingProviderOptions;
  readonly #label: string;
  readonly #closing = new AbortController();
  #held: HeldCredentials | undefined;
  #flight: Promise<HeldCredentials> | undefined;
  #renewal: Promise<void> | undefined;
  /**
   * Forgotten before anything more is read from a pipe or a socket: the requests of one burst share
   * a look, and the next has its own.
   */
  #look: FileStamps | undefined;
  /** An edit was seen that the set held does not have yet. */
  #edited = false;
  /** The last set there was, also where it has been given up since. */
  #last: HeldCredentials | undefined;
  #retryAt = Number.NEGATIVE_INFINITY;

  constructor(options: CachingProviderOptions) {
    this.#options = options;
    this.#label = profileLabel(this.#profile);
  }

  get #profile(): string | undefined {
    return this.#options.profile ?? (this.#options.env.AWS_PROFILE || undefined);
  }

  async current(signal: AbortSignal): Promise<Credentials> {
    const { clock } = this.#options;
    signal.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    const held = this.#held;
    if (held === undefined || held.rejected) return this.#wait(signal);

    const expired = hasExpired(held.set, clock.now()) && !held.arrivedExpired;
    if (expired) return this.#wait(signal);
    if (this.#isEdited(held)) return this.#afterChange(held, signal);

    const due = held.refreshAt !== undefined && clock.now() >= held.refreshAt;
    if (due && clock.monotonic() >= this.#retryAt) {
      this.#resolve().catch((error: unknown) => this.#reportRefreshFailure(error));
    }
    return held.set;
  }

  async renewed(used: Credentials, signal: AbortSignal): Promise<Credentials | undefined> {
    signal.throwIfAborted();
    if (this.#newerThan(used) === undefined) {
      this.#renewal ??= this.#renew(used).finally(() => {
        this.#renewal = undefined;
      });
      await abortable(this.#renewal, signal);
    }
    return this.#newerThan(used);
  }

  get inDoubt(): boolean {
    const held = this.#held;
    // Before the first set there is nobody whose place another could take.
    if (!held) return this.#last !== undefined;
    return this.#edited || !sameStamps(this.#printsNow(held), held.prints);
  }

  get principal(): Principal | undefined {
    return this.#last?.principal;
  }

  close(): void {
    this.#closing.abort(new ProxyError('shutting-down', 'the proxy is shutting down', { sent: 'no' }));
    this.#held = undefined;
  }

  #newerThan(used: Credentials): Credentials | undefined {
    const set = this.#held?.set;
    return set === undefined || sameKeys(set, used) ? undefined : set;
  }

  /** Never rejects: that there is nothing newer is an answer too. */
  async #renew(used: Credentials): Promise<void> {
    const joined = this.#flight !== undefined;
    try {
      await this.#resolve();
      // A flight that had begun before the server spoke may have read what was there before: it is
      // not the last word.
      if (joined && this.#newerThan(used) === undefined) await this.#resolve();
    } catch (error) {
      this.#reportRefreshFailure(error);
      if (this.#held !== undefined && sameKeys(this.#held.set, used)) this.#held.rejected = true;
    }
  }

  async #wait(signal: AbortSignal): Promise<Credentials> {
    const joins = this.#flight !== undefined;
    const held = await abortable(this.#resolve(), signal);
    // What had begun before this was asked for may have read what was there before an edit.
    if (!joins || !this.#isEdited(held)) return held.set;
    return (await abortable(this.#resolve(), signal)).set;
  }

  /**
   * A login or an edit counts at once. Where it leads nowhere, temporary credentials serve on until
   * they expire.
   */
  async #afterChange(held: HeldCredentials, signal: AbortSignal): Promise<Credentials> {
    try {
      return await this.#wait(signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#closing.signal.throwIfAborted();
      if (held.set.expiration === undefined) {
        if (this.#held === held) this.#held = undefined;
        throw error;
      }
      this.#reportRefreshFailure(error);
      held.refreshAt = Number.NEGATIVE_INFINITY;
      return held.set;
    }
  }

  /**
   * True until what an edit has brought is made out, for whoever asks by then: none of them came
   * before the edit.
   */
  #isEdited(held: HeldCredentials): boolean {
    const prints = this.#printsNow(held);
    if (!sameStamps(prints, held.prints)) this.#edited = true;
    // Noted before it is acted on, so that an edit that leads nowhere is tried once and not on
    // every request.
    held.prints = prints;
    return this.#edited;
  }

  #printsNow(held: HeldCredentials): FileStamps {
    if (held.prints.size === 0) return held.prints;
    if (!this.#look) {
      this.#look = stampFiles(held.prints.keys(), held.prints);
      // Not a time: who has an answer, edits a file and asks again does it within a millisecond
      // where the answer came from a cache.
      process.nextTick(() => {
        this.#look = undefined;
      });
    }
    return this.#look;
  }

  /** One resolution for all who ask while it runs; its failure is nobody's afterwards. */
  #resolve(): Promise<HeldCredentials> {
    this.#flight ??= this.#run().finally(() => {
      this.#flight = undefined;
      this.#edited = false;
    });
    return this.#flight;
  }

  async #run(): Promise<HeldCredentials> {
    const { clock } = this.#options;
    this.#closing.signal.throwIfAborted();
    this.#retryAt =
      clock.monotonic() + REFRESH_RETRY_MS * (1 + REFRESH_RETRY_JITTER * (2 * clock.random() - 1));
    const stop = new AbortController();
    const onClose = (): void => stop.abort(this.#closing.signal.reason);
    this.#closing.signal.addEventListener('abort', onClose, { once: true });
    try {
      const late = (): Error => new Error(`no answer within ${RESOLVE_LIMIT_MS / 1000} s`);
      const work = within(clock, RESOLVE_LIMIT_MS, this.#resolveChain(stop.signal), late);
      return this.#hold(await abortable(work, this.#closing.signal));
    } catch (error) {
      this.#closing.signal.throwIfAborted();
      throw this.#asProxyError(error);
    } finally {
      this.#closing.signal.removeEventListener('abort', onClose);
      stop.abort();
    }
  }

  #resolveChain(signal: AbortSignal): Promise<Resolved> {
    const { profile, fallbackRegion, env, clock, requestHandler, role } = this.#options;
    return resolveKeys({ profile, fallbackRegion, env, clock, requestHandler, role, signal });
  }

  #hold(resolved: Resolved): HeldCredentials {
    const { clock, events } = this.#options;
    const { source, principal } = resolved;
    const set: Credentials = Object.freeze({ ...resolved.set, principal, source });
    const before = this.#last;
    const now = clock.now();
    const held: HeldCredentials = {
      ...resolved,
      set,
      madeFrom: resolved.prints,
      refreshAt: refreshDueAt(set.expiration, now),
      arrivedExpired: hasExpired(set, now),
      rejected: false,
    };
    this.#held = held;
    this.#last = held;
    this.#look = undefined;
    if (before === undefined || !sameKeys(before.set, set)) {
      // A set that was only renewed is made from the same files, and speaks for the same identity.
      // What is made from others may speak for another, also where the principal looks the same.
      if (before && (before.principal !== principal || !sameStamps(before.madeFrom, held.madeFrom)))
        this.#options.replaced?.();
      events.emit({ type: 'secret.known', value: set.secretAccessKey });
      if (set.sessionToken !== undefined) events.emit({ type: 'secret.known', value: set.sessionToken });
      events.emit({
        type: 'credentials.resolved',
        profile: this.#label,
        source,
        expiresAt: set.expiration?.toISOString(),
      });
    }
    return held;
  }

  #asProxyError(error: unknown): ProxyError {
    const failure: CredentialFailure =
      error instanceof ChainFailure
        ? error.failure
        : { what: 'unexpected', cause: causeWithoutSecrets(causeText(error)) };
    return new ProxyError('no-credentials', adviceFor(this.#profile, failure), {
      sent: 'no',
      details: { kind: failure.what === 'none' ? 'none' : 'failed', profile: this.#label },
    });
  }

  #reportRefreshFailure(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    const message = error instanceof ProxyError ? error.message : causeText(error);
    this.#options.events.emit({ type: 'credentials.refresh-failed', profile: this.#label, message });
  }
}
