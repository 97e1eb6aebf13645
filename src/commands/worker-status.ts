import { systemClock } from '../core/time/clock.ts';
import type { Worker } from '../workers/worker.ts';
import { reportMetrics, type WorkerReport } from '../workers/worker-report.ts';
import { type RunningStatus, SignerIdentities, type StatusDeps } from './status-server.ts';

/** Reports to the primary process, which serves --status for all workers. */
export function reportStatus(worker: Worker, deps: StatusDeps): RunningStatus {
  const { settings, proxy, metrics, unreadyReason, clock = systemClock } = deps;
  const identities = new SignerIdentities(settings, proxy, clock);
  const report = (withIdentities: boolean): WorkerReport => {
    const snapshot = metrics.snapshot();
    return {
      metrics: reportMetrics(metrics.metrics),
      state: metrics.deps.state(),
      listener: metrics.deps.listener?.(),
      credentials: [...metrics.credentials],
      // The snapshot has removed secrets from them.
      recentErrors: snapshot.profiles.map(({ profile, recentErrors }) => [profile, recentErrors]),
      identities: withIdentities ? identities.of(snapshot) : {},
    };
  };
  worker.report({
    report: async () => report(false),
    page: async () => report(true),
    readiness: async () => ({ reason: (await unreadyReason()) ?? null }),
  });
  return {
    url: '',
    async close() {
      identities.close();
      await worker.reportLast(report(false));
    },
  };
}
