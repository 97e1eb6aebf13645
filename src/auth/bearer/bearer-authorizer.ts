import { causeText, ProxyError, shuttingDown } from '../../core/errors/errors.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import { SingleFlight } from '../../core/time/single-flight.ts';
import { abortable } from '../../core/time/waits.ts';
import type { Authorizer, CredentialRefusal, CredentialReport } from '../authorizer.ts';
import { type Principal, refreshDueAt } from '../credentials/credentials.ts';
import type { Signable, SignedHeaders } from '../signing.ts';
import { type BearerSource, type BearerSourceDeps, bearerSourceOf } from './bearer-source.ts';
import type { BearerValues } from './options.ts';
import { explainBearerRefusal } from './refusal-text.ts';
import { type BearerToken, readToken } from './token.ts';

export interface BearerAuthorizerOptions {
  readonly source: BearerSource;
  readonly profile: string;
  readonly clock: Clock;
  readonly events: Events;
  /** Called when a token belongs to another identity than the one before. */
  readonly onIdentityChange: () => void;
}

/** Delay between two runs of a source that returns the same token shortly before it expires. */
export const RENEWAL_PAUSE_MS = 30_000;

interface CachedToken {
  readonly token: BearerToken;
  /** Wall clock; undefined: used until the source changes or the server rejects it. */
  readonly times: { readonly renewAt: number; readonly expiresAt: number } | undefined;
}

/** `--auth bearer`: sends a token of the user (RFC 6750), read from one source. */
export class BearerAuthorizer implements Authorizer<BearerToken> {
  readonly kind = 'bearer';
  readonly scope = undefined;
  readonly credentials = undefined;
  readonly sendsTime = false;
  readonly learnsFromRefusal = false;
  readonly #options: BearerAuthorizerOptions;
  readonly #reading = new SingleFlight<BearerToken>();
  #cached: CachedToken | undefined;
  #renewNotBefore = Number.NEGATIVE_INFINITY;
  /** Why the last read returned no token. */
  #failure: string | undefined;
  #closed = false;

  constructor(options: BearerAuthorizerOptions) {
    this.#options = options;
  }

  get identityMayChange(): boolean {
    return this.#cached !== undefined && (this.#options.source.changed() || this.#isOver(this.#cached));
  }

  get principal(): Principal | undefined {
    return this.#cached?.token.principal;
  }

  current(signal: AbortSignal, onResolve?: () => void): Promise<BearerToken> | BearerToken {
    const cached = this.#cached;
    const changed = this.#options.source.changed();
    if (cached && !changed && !this.#isOver(cached)) {
      this.#renewIfDue(cached);
      return cached.token;
    }
    onResolve?.();
    const usable = cached && !this.#isOver(cached) ? cached.token : undefined;
    return this.#read(signal).catch((error: unknown) => {
      signal.throwIfAborted();
      // If an edit leaves no token, the last token stays in use.
      if (usable === undefined || this.#closed) throw error;
      this.#reportRenewalFailure(error);
      return usable;
    });
  }

  authorize({ target, contentType }: Signable, { authorization }: BearerToken): SignedHeaders {
    return contentType === undefined
      ? { host: target.host, authorization }
      : { host: target.host, authorization, 'content-type': contentType };
  }

  async refresh(
    refused: BearerToken,
    { status }: CredentialRefusal,
    signal: AbortSignal,
  ): Promise<BearerToken | undefined> {
    if (status !== 401) return undefined;
    const other = this.#otherThan(refused);
    if (other) return other;
    // A read that began before the refusal may have returned the refused token.
    const joined = this.#reading.current !== undefined;
    try {
      await this.#read(signal);
      if (joined && !this.#otherThan(refused)) await this.#read(signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#reportRenewalFailure(error);
    }
    return this.#otherThan(refused);
  }

  explain(refusal: CredentialRefusal, host: string): string | undefined {
    const { source, clock } = this.#options;
    const token = this.#cached?.token;
    return explainBearerRefusal(refusal, { source, token, failure: this.#failure, now: clock.now() }, host);
  }

  async inspect(signal: AbortSignal): Promise<CredentialReport> {
    const { claims, token } = await this.current(signal);
    const { origin, remedy } = this.#options.source;
    const by = claims?.issuer === undefined ? '' : ` issued by ${claims.issuer}`;
    const what = claims
      ? `JWT of ${claims.subject ?? 'no subject'}${by}`
      : `opaque token of ${token.length} characters`;
    const expiresAt = claims?.expiresAt === undefined ? undefined : new Date(claims.expiresAt);
    return { text: `${what}, from ${origin}`, expiresAt, renewal: remedy };
  }

  close(): void {
    this.#closed = true;
    this.#reading.abandon(shuttingDown());
    this.#cached = undefined;
  }

  #otherThan({ token }: BearerToken): BearerToken | undefined {
    const cached = this.#cached?.token;
    return cached === undefined || cached.token === token ? undefined : cached;
  }

  #isOver({ times }: CachedToken): boolean {
    return times !== undefined && this.#options.clock.now() >= times.expiresAt;
  }

  /** Renews in the background, so that no call waits for it. */
  #renewIfDue({ times }: CachedToken): void {
    const { clock } = this.#options;
    if (times === undefined || clock.now() < times.renewAt) return;
    if (clock.monotonic() < this.#renewNotBefore) return;
    this.#begin().catch((error: unknown) => this.#reportRenewalFailure(error));
  }

  #reportRenewalFailure(error: unknown): void {
    if (this.#closed) return;
    const { events, profile } = this.#options;
    events.emit({ type: 'credentials.refresh-failed', profile, message: causeText(error) });
  }

  /** Single flight: all callers share one read, and `signal` ends only the wait of this caller. */
  #read(signal: AbortSignal): Promise<BearerToken> {
    if (this.#closed) return Promise.reject(shuttingDown());
    return abortable(this.#begin(), signal);
  }

  #begin(): Promise<BearerToken> {
    return this.#reading.run((stop) => this.#readNow(stop)).outcome;
  }

  async #readNow(stop: AbortSignal): Promise<BearerToken> {
    const { source, clock, events, profile } = this.#options;
    this.#renewNotBefore = clock.monotonic() + RENEWAL_PAUSE_MS;
    const since = clock.monotonic();
    try {
      const read = readToken(await source.read(stop));
      stop.throwIfAborted();
      if ('problem' in read) throw new Error(read.problem);
      this.#store(read.token, clock.monotonic() - since);
      return read.token;
    } catch (error) {
      stop.throwIfAborted();
      this.#failure = causeText(error);
      const failure = noToken(source, this.#failure);
      const ms = clock.monotonic() - since;
      events.emit({ type: 'credentials.failed', profile, message: failure.message, ms });
      throw failure;
    }
  }

  #store(token: BearerToken, ms: number): void {
    const { events, profile, onIdentityChange } = this.#options;
    const before = this.#cached?.token;
    this.#failure = undefined;
    this.#cached = { token, times: this.#timesOf(token) };
    if (before?.token === token.token) return;
    if (before && before.principal !== token.principal) onIdentityChange();
    events.emit({ type: 'secret.known', value: token.token });
    const { expiresAt: end } = token.claims ?? {};
    const expiresAt = end === undefined ? undefined : new Date(end).toISOString();
    events.emit({ type: 'credentials.resolved', profile, providerName: 'bearer', expiresAt, ms });
  }

  /**
   * Undefined for sources that cannot renew a token. A token that arrives expired is used too,
   * because the clock of this machine may be wrong: the server decides.
   */
  #timesOf({ claims }: BearerToken): CachedToken['times'] {
    const { source, clock } = this.#options;
    const expiresAt = claims?.expiresAt;
    const now = clock.now();
    if (!source.renews || expiresAt === undefined || expiresAt <= now) return undefined;
    return { renewAt: refreshDueAt(new Date(expiresAt), now) ?? expiresAt, expiresAt };
  }
}

/** Creates the authorizer of one profile from the options of the user. */
export function createBearerAuthorizer(
  values: BearerValues,
  { env, variables, ...options }: Omit<BearerAuthorizerOptions, 'source'> & BearerSourceDeps,
): BearerAuthorizer {
  const source = bearerSourceOf(values, { env, variables, clock: options.clock });
  return new BearerAuthorizer({ ...options, source });
}

function noToken({ origin, remedy }: BearerSource, cause: string): ProxyError {
  const why = cause.replace(/\.+$/, '');
  return new ProxyError(
    'no-credentials',
    `There is no bearer token in ${origin}: ${why}. The request was not sent. ${remedy}`,
    { sent: 'no', details: { kind: 'failed' } },
  );
}
