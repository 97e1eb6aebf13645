import type { Clock } from '../../core/time/clock.ts';
import type { MetricsSnapshot } from '../metrics/snapshot.ts';

/** The AWS identity that signs for a profile. */
export interface SignerIdentity {
  readonly account: string | null;
  readonly arn: string | null;
  /** Why it is not known. */
  readonly problem?: string;
}

/** The content of the status page. */
export interface StatusReport extends MetricsSnapshot {
  readonly identities: Readonly<Record<string, SignerIdentity>>;
}

/** Time until a failed identity is requested again. */
const RETRY_MS = 30_000;

export interface IdentityCacheDeps {
  readonly clock: Clock;
  /** Requests the identity of a profile. */
  readonly identityOf: (profile: string, signal: AbortSignal) => Promise<SignerIdentity>;
  readonly causeOf: (error: unknown) => string;
}

/**
 * The identities of the profiles that have signed. Requested when a page wants them and credentials
 * are there, so that looking at the page resolves none.
 */
export class IdentityCache {
  readonly #deps: IdentityCacheDeps;
  readonly #known = new Map<string, SignerIdentity>();
  readonly #requestedAt = new Map<string, number>();
  readonly #closing = new AbortController();

  constructor(deps: IdentityCacheDeps) {
    this.#deps = deps;
  }

  /** @param profile - "" is the default chain. */
  of(profile: string): SignerIdentity | undefined {
    const { clock } = this.#deps;
    const now = clock.monotonic();
    const at = this.#requestedAt.get(profile);
    if (at === undefined || now - at >= RETRY_MS) {
      this.#requestedAt.set(profile, now);
      void this.#request(profile);
    }
    return this.#known.get(profile);
  }

  async #request(profile: string): Promise<void> {
    const { identityOf, causeOf } = this.#deps;
    try {
      const { account, arn } = await identityOf(profile, this.#closing.signal);
      this.#known.set(profile, { account, arn });
    } catch (error) {
      this.#known.set(profile, { account: null, arn: null, problem: causeOf(error) });
    }
  }

  close(): void {
    this.#closing.abort(new Error('the proxy is ending'));
  }
}
