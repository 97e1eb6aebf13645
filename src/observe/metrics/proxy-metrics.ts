import { Redactor } from '../../core/errors/redact.ts';
import type { CallRecord } from '../../core/pipeline/call-record.ts';
import type { ObserverOptions, ProxyEvent } from '../../core/pipeline/events.ts';
import { plainText } from '../../core/system/plain-text.ts';
import { createMetrics, familiesOf, type Metrics } from './catalog.ts';
import { type ExpositionFormat, exposition } from './exposition.ts';
import { History } from './history.ts';
import { createInitialSeries } from './initial-series.ts';
import { methodLabel, profileLabel, ToolLabels } from './labels.ts';
import type { CredentialFacts, Measured, ProxyMetricsDeps, RecentError } from './measured.ts';
import { ProcessMetrics } from './process-metrics.ts';
import { ProfileSeries } from './profile-series.ts';
import { createSnapshot, type MetricsSnapshot } from './snapshot.ts';

/** Sends the metrics somewhere; called by `publish`. Throws where it fails. */
export type SnapshotPublisher = (snapshot: MetricsSnapshot) => Promise<void>;

/** Errors that are kept for the status page, for each profile. */
const MAX_RECENT_ERRORS = 20;

/** Counts what the events of one proxy report. Knows no layer, and no layer knows it. */
export class ProxyMetrics implements Measured {
  readonly deps: ProxyMetricsDeps;
  readonly metrics: Metrics = createMetrics();
  readonly history: History;
  readonly startedAt: number;
  readonly credentials = new Map<string, CredentialFacts>();
  readonly recentErrors = new Map<string, RecentError[]>();
  readonly #tools = new ToolLabels();
  readonly #series = new Map<string, ProfileSeries>();
  readonly #publishers: SnapshotPublisher[] = [];
  readonly #redactor = new Redactor();
  readonly #process = new ProcessMetrics();
  #inFlight = 0;
  /** When the session of the client on stdio began (monotonic). */
  #stdioSince: number | undefined;

  constructor(deps: ProxyMetricsDeps) {
    this.deps = deps;
    this.startedAt = deps.clock.now();
    this.history = new History(deps.clock);
    createInitialSeries(this.metrics, deps.profiles.map(profileLabel));
    this.metrics.buildInfo.of(deps.version).value = 1;
    this.metrics.startTime.of().value = deps.clock.now() / 1_000 - process.uptime();
  }

  /** Stops measuring the event loop. */
  close(): void {
    this.#process.close();
  }

  /** Counts one event. */
  readonly observe = (event: ProxyEvent): void => {
    switch (event.type) {
      case 'call.begun':
        this.#inFlight++;
        break;
      case 'call.ended':
        this.#inFlight--;
        this.#countCall(event.record);
        break;
      default:
        this.#countRare(event);
    }
  };

  /** The events that `observe` counts. */
  get wanted(): ObserverOptions {
    const meterOf = (profile: string): ProfileSeries => this.#seriesOf(profile);
    return { detailed: false, calls: true, exchanges: false, meterOf, secrets: true };
  }

  #seriesOf(profile: string): ProfileSeries {
    let found = this.#series.get(profile);
    if (!found) {
      found = new ProfileSeries(this.metrics, profile);
      this.#series.set(profile, found);
    }
    return found;
  }

  #countCall(record: CallRecord): void {
    const { outcome } = record;
    const series = this.#seriesOf(record.profile);
    const { method } = record;
    const tool = method === 'tools/call' ? this.#toolLabel(record) : '';
    if (method === 'initialize' && record.transport === 'stdio' && outcome === 'ok')
      this.#stdioSince ??= record.endedAt;
    series.countCall(record, tool);
    if (outcome === 'error') this.#addError(record, series.label, tool);
    if (record.waitedMs > 0) series.countWaits(record);
    if (method === 'subscriptions/listen') return;
    const isRefused = outcome === 'error' && record.attempts === 0;
    const isError = outcome === 'error' || outcome === 'tool_error';
    this.history.add(isRefused ? undefined : record.ms / 1_000, isError, record.endedAt);
  }

  #toolLabel({ target, outcome, profile }: CallRecord): string {
    if (target !== undefined && this.#tools.has(target)) return target;
    return this.#tools.of(target, () => outcome === 'ok' || this.deps.isTool(target ?? '', profile));
  }

  #addError(
    { method: named, reason = 'internal', message = '' }: CallRecord,
    profile: string,
    tool: string,
  ): void {
    const errors = this.recentErrors.get(profile) ?? [];
    this.recentErrors.set(profile, errors);
    const method = methodLabel(named);
    // A repeated error takes one place: a flood of one kind would hide all others.
    const known = errors.findIndex(
      (error) =>
        error.message === message &&
        error.reason === reason &&
        error.tool === tool &&
        error.method === method,
    );
    const [same] = known < 0 ? [] : errors.splice(known, 1);
    errors.push({ at: this.deps.clock.now(), times: (same?.times ?? 0) + 1, method, tool, reason, message });
    if (errors.length > MAX_RECENT_ERRORS) errors.shift();
  }

  #countRare(event: ProxyEvent): void {
    const { metrics } = this;
    const profile = 'profile' in event ? profileLabel(event.profile) : '';
    switch (event.type) {
      case 'secret.known':
        this.#redactor.learn(event.value, event);
        break;
      case 'call.retried':
        metrics.retries.of(profile, event.reason).add();
        break;
      case 'call.overloaded':
        metrics.overloads.of(profile, event.reason).add();
        break;
      case 'server.throttled':
        metrics.throttled.of(profile).add();
        break;
      case 'rate.limited':
        metrics.rateLimited.of(profile, event.by, event.outcome).add();
        break;
      case 'breaker.opened':
        metrics.breakerTransitions.of(profile, 'open').add();
        break;
      case 'breaker.half-opened':
        metrics.breakerTransitions.of(profile, 'half-open').add();
        break;
      case 'breaker.closed':
        metrics.breakerTransitions.of(profile, 'closed').add();
        break;
      case 'breaker.refused':
        metrics.breakerRefusals.of(profile).add();
        break;
      case 'session.opened':
        metrics.sessionsOpened.of(profile, event.reason).add();
        break;
      case 'session.closed':
        metrics.sessionsClosed.of(profile, event.reason).add();
        metrics.clientSession.of(profile).observe(event.ageMs / 1_000);
        break;
      case 'session.open-failed':
        metrics.sessionOpenFailures.of(profile).add();
        break;
      case 'session.borrowed':
        metrics.sessionBorrows.of(profile).add();
        metrics.sessionBorrowWait.of(profile).observe(event.waitMs / 1_000);
        break;
      case 'session.returned':
        metrics.sessionReturns.of(profile).add();
        break;
      case 'session.checked':
        metrics.healthChecks.of(profile, event.healthy ? 'healthy' : 'unhealthy').add();
        break;
      case 'connection.opened':
        metrics.connectionsOpened.of(profile, event.lane).add();
        break;
      case 'connection.closed':
        metrics.connectionsClosed.of(profile, event.lane).add();
        break;
      case 'tools.listed':
        metrics.toolLists.of(profile, event.from).add();
        break;
      case 'tools.refresh-failed':
        metrics.toolRefreshFailures.of(profile).add();
        break;
      case 'auth.rejected':
        metrics.authRejections.of(profile, event.verdict).add();
        break;
      case 'client.session-ended':
        metrics.serverSession.of('tcp').observe(event.ageMs / 1_000);
        break;
      case 'client.gone':
        this.#endStdioSession();
        break;
      case 'client.refused':
        metrics.listenerRefusals.of(event.reason).add();
        break;
      case 'credentials.resolved': {
        const { providerName, expiresAt } = event;
        const own = this.#ownProfile(event.profile);
        const expiry = expiresAt === undefined ? undefined : Date.parse(expiresAt);
        this.credentials.set(own, { providerName, expiresAt: expiry });
        metrics.credentialResolutions.of(own, 'resolved').add();
        break;
      }
      case 'credentials.failed':
        metrics.credentialResolutions.of(this.#ownProfile(event.profile), 'failed').add();
        break;
    }
  }

  #endStdioSession(): void {
    if (this.#stdioSince === undefined) return;
    const ms = this.deps.clock.monotonic() - this.#stdioSince;
    this.#stdioSince = undefined;
    this.metrics.serverSession.of('pipe').observe(ms / 1_000);
  }

  /** The events of credentials name the default chain in words, or by AWS_PROFILE. */
  #ownProfile(named: string): string {
    const { profiles } = this.deps;
    return profileLabel(profiles.includes(named) ? named : (profiles[0] ?? ''));
  }

  /** Reads the values that no event reports. */
  #collect(): void {
    const { metrics, deps } = this;
    metrics.callsInFlight.of().value = this.#inFlight;
    const { limits, profiles } = deps.state();
    if (limits) metrics.limitsShared.of().value = Number(limits === 'shared');
    for (const state of profiles) {
      const profile = profileLabel(state.profile);
      for (const { lane, used, idle, waiting } of state.connections) {
        metrics.connections.of(profile, lane, 'used').value = used;
        metrics.connections.of(profile, lane, 'idle').value = idle;
        metrics.connectionsWaiting.of(profile, lane).value = waiting;
      }
      const active = state.sessions.filter((session) => session.state === 'active').length;
      metrics.sessions.of(profile, 'active').value = active;
      metrics.sessions.of(profile, 'idle').value = state.sessions.length - active;
      for (const each of ['closed', 'open', 'half-open'])
        metrics.breakerState.of(profile, each).value = state.breaker.state === each ? 1 : 0;
      metrics.rateWaiting.of(profile).value = state.rateWaiting;
      metrics.backpressureActive.of(profile).value = state.backpressure?.active ?? 0;
      metrics.backpressureQueued.of(profile).value = state.backpressure?.queued ?? 0;
    }
    metrics.credentialsInfo.clear();
    metrics.credentialsExpiry.clear();
    for (const [profile, { providerName, expiresAt }] of this.credentials) {
      metrics.credentialsInfo.of(profile, providerName).value = 1;
      if (expiresAt !== undefined)
        metrics.credentialsExpiry.of(profile).value = (expiresAt - deps.clock.now()) / 1_000;
    }
    const listener = deps.listener?.();
    metrics.listenerConnections.of().value = listener?.connections ?? 0;
    metrics.listenerRequests.of().value = listener?.requests ?? 0;
    metrics.listenerStreams.of().value = listener?.streams ?? 0;
    this.#process.collect(metrics);
  }

  /** All metrics with their current values. */
  read(): Metrics {
    this.#collect();
    return this.metrics;
  }

  /** All metrics as text that Prometheus reads. */
  toPrometheus(format: ExpositionFormat = 'prometheus'): string {
    this.#collect();
    return exposition(familiesOf(this.metrics), format);
  }

  /** A detached copy of everything that is measured. */
  snapshot(): MetricsSnapshot {
    this.#collect();
    return createSnapshot(this, (text) => plainText(this.#redactor.clean(text)));
  }

  /** Adds a publisher, which `publish` calls. */
  addPublisher(publisher: SnapshotPublisher): void {
    this.#publishers.push(publisher);
  }

  /** Passes a snapshot to all publishers. @throws the first error, after all have run. */
  async publish(): Promise<void> {
    const snapshot = this.snapshot();
    const results = await Promise.allSettled(this.#publishers.map((publisher) => publisher(snapshot)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  }
}
