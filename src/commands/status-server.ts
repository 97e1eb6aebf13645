import { servedProfiles } from '../auth/credentials/profile-list.ts';
import { causeText } from '../core/errors/errors.ts';
import { readAddress } from '../core/http/listen-address.ts';
import type { Events } from '../core/pipeline/events.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { profileLabel } from '../observe/metrics/labels.ts';
import type { ProxyMetrics } from '../observe/metrics/proxy-metrics.ts';
import type { MetricsSnapshot } from '../observe/metrics/snapshot.ts';
import { IdentityCache, type SignerIdentity, type StatusReport } from '../observe/status/report.ts';
import { StatusServer, type StatusServerOptions } from '../observe/status/server.ts';
import type { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';

export interface StatusDeps {
  readonly settings: Settings;
  readonly proxy: McpProxy;
  readonly events: Events;
  readonly metrics: ProxyMetrics;
  /** Returns why requests would fail now, or undefined. */
  readonly unreadyReason: () => Promise<string | undefined>;
  readonly clock?: Clock;
}

export interface RunningStatus {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves --status.
 * @throws Error with a message for the user if the address cannot be used.
 */
export async function serveStatus(deps: StatusDeps): Promise<RunningStatus> {
  const { settings, proxy, events, metrics, unreadyReason, clock = systemClock } = deps;
  const identities = new SignerIdentities(settings, proxy, clock);
  const report = (): StatusReport => {
    const snapshot = metrics.snapshot();
    return { ...snapshot, identities: identities.of(snapshot) };
  };
  const opened = await openStatus(settings, events, { clock, metrics, report, unreadyReason });
  return {
    url: opened.url,
    async close() {
      identities.close();
      await opened.close();
    },
  };
}

/**
 * Opens the address of --status.
 * @throws Error with a message for the user if the address cannot be used.
 */
export async function openStatus(
  { status = '', statusToken: token }: Settings,
  events: Events,
  options: Omit<StatusServerOptions, 'address' | 'token'>,
): Promise<RunningStatus> {
  const address = readAddress(status);
  if (!address) throw new TypeError(`no address: ${status}`);
  const server = await StatusServer.open({ ...options, address, token }).catch((error: unknown) => {
    throw new Error(
      `cannot serve the status on ${address.host}:${address.port}: ${causeText(error)}. Name another address with --status.`,
    );
  });
  events.emit({ type: 'status.opened', url: server.url });
  return { url: server.url, close: () => server.close() };
}

/** The AWS identities of the profiles that have signed, for the status page. */
export class SignerIdentities {
  readonly #cache: IdentityCache;
  readonly #names: readonly string[];

  constructor(settings: Settings, proxy: McpProxy, clock: Clock) {
    this.#names = servedProfiles(settings);
    this.#cache = new IdentityCache({
      clock,
      identityOf: (profile, signal) => proxy.identityOf(profile, signal),
      causeOf: causeText,
    });
  }

  /** The identities that are known, by the label of the profile. */
  of({ profiles }: MetricsSnapshot): Record<string, SignerIdentity> {
    const known: Record<string, SignerIdentity> = {};
    for (const [index, { profile, signatures }] of profiles.entries()) {
      // Only for profiles that have signed: reading the page must not resolve credentials.
      const identity = signatures > 0 ? this.#cache.of(this.#names[index] ?? '') : undefined;
      if (identity) known[profileLabel(profile)] = identity;
    }
    return known;
  }

  close(): void {
    this.#cache.close();
  }
}
