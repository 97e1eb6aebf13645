import { randomUUID } from 'node:crypto';
import { causeText } from '../../core/errors/errors.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import { abortable } from '../../core/time/waits.ts';
import { beginLogin } from './login.ts';
import type { LoginStore } from './login-store.ts';
import type { OAuthDeps } from './oauth-deps.ts';

interface OpenOffer {
  readonly id: string;
  readonly url: string;
}

export interface LoginOffersOptions {
  readonly clock: Clock;
  readonly events: Events;
  /** Opens the store of a profile's login. */
  readonly storeOf: (profile: string) => LoginStore;
  readonly depsOf: (profile: string, signal: AbortSignal) => Promise<OAuthDeps>;
}

/** The logins that the proxy offers to clients: one at a time for each profile. */
export class LoginOffers {
  readonly #options: LoginOffersOptions;
  readonly #open = new Map<string, Promise<OpenOffer>>();
  /** Settled when the login of a profile is over. */
  readonly #pending = new Map<string, Promise<unknown>>();
  readonly #closing = new AbortController();

  constructor(options: LoginOffersOptions) {
    this.#options = options;
  }

  /**
   * Returns the page of the login that is open, or begins one.
   * @throws as `beginLogin` does; the signal's reason.
   */
  begin(profile: string, signal: AbortSignal): Promise<OpenOffer> {
    let open = this.#open.get(profile);
    if (!open) {
      open = this.#begin(profile);
      this.#open.set(profile, open);
      open.catch(() => this.#open.delete(profile));
    }
    return abortable(open, signal);
  }

  /** Settles when the open login of a profile is over; undefined without one. Never rejects. */
  pending(profile: string): Promise<unknown> | undefined {
    return this.#pending.get(profile);
  }

  /** Cancels pending logins. */
  close(): void {
    this.#closing.abort(new Error('the proxy is ending'));
  }

  async #begin(profile: string): Promise<OpenOffer> {
    const { clock, events, storeOf, depsOf } = this.#options;
    const { signal } = this.#closing;
    const deps = await depsOf(profile, signal);
    const { page, done } = await beginLogin({ deps, store: storeOf(profile), clock, signal });
    const over = (): void => {
      this.#open.delete(profile);
      this.#pending.delete(profile);
    };
    const failed = (error: unknown): void => {
      over();
      // The browser shows that the login has failed, but not why.
      if (!signal.aborted) events.emit({ type: 'login.failed', profile, message: `${causeText(error)}.` });
    };
    // The next request finds the tokens in the store.
    this.#pending.set(profile, done.then(over, failed));
    return { id: randomUUID(), url: page.url };
  }
}
