import { servedProfiles } from '../auth/credentials/profile-list.ts';
import { causeText } from '../core/errors/errors.ts';
import { readAddress } from '../core/http/listen-address.ts';
import type { Events } from '../core/pipeline/events.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import { profileLabel } from '../observe/metrics/labels.ts';
import type { ProxyMetrics } from '../observe/metrics/proxy-metrics.ts';
import { IdentityCache, type SignerIdentity, type StatusReport } from '../observe/status/report.ts';
import { StatusServer } from '../observe/status/server.ts';
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
  const { status = '', statusToken: token } = settings;
  const address = readAddress(status);
  if (!address) throw new TypeError(`no address: ${status}`);
  const names = servedProfiles(settings);
  const identities = new IdentityCache({
    clock,
    identityOf: (profile, signal) => proxy.identityOf(profile, signal),
    causeOf: causeText,
  });
  const server = await StatusServer.open({
    address,
    token,
    clock,
    metrics,
    report: () => reportOf(metrics, identities, names),
    unreadyReason,
  }).catch((error: unknown) => {
    throw new Error(
      `cannot serve the status on ${address.host}:${address.port}: ${causeText(error)}. Name another address with --status.`,
    );
  });
  events.emit({ type: 'status.opened', url: server.url });
  return {
    url: server.url,
    async close() {
      identities.close();
      await server.close();
    },
  };
}

function reportOf(metrics: ProxyMetrics, identities: IdentityCache, names: readonly string[]): StatusReport {
  const snapshot = metrics.snapshot();
  const known: Record<string, SignerIdentity> = {};
  for (const [index, { profile, signatures }] of snapshot.profiles.entries()) {
    // Only after a call: a look at the page resolves no credentials.
    const identity = signatures > 0 ? identities.of(names[index] ?? '') : undefined;
    if (identity) known[profileLabel(profile)] = identity;
  }
  return { ...snapshot, identities: known };
}
