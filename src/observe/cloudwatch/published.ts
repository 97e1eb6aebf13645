import type { Metrics } from '../metrics/catalog.ts';

export type Unit = 'Count' | 'Seconds' | 'Bytes' | 'None';

/** A metric of CloudWatch: the sum of the series of a family that share the kept labels. */
export interface PublishedMetric {
  readonly name: string;
  readonly unit: Unit;
  /** Labels that become dimensions, with the names of these. */
  readonly dimensions: Readonly<Record<string, string>>;
}

const PROFILE = { profile: 'Profile' } as const;

/**
 * The published metrics. Each combination of dimensions costs money by the month, so methods and
 * tools are left out: `--status` and OpenTelemetry have them.
 */
export const PUBLISHED: { readonly [family in keyof Metrics]?: PublishedMetric } = {
  calls: { name: 'Calls', unit: 'Count', dimensions: { ...PROFILE, outcome: 'Outcome' } },
  callErrors: { name: 'CallErrors', unit: 'Count', dimensions: { ...PROFILE, reason: 'Reason' } },
  clientOperation: { name: 'CallDuration', unit: 'Seconds', dimensions: PROFILE },
  serverOperation: { name: 'RequestDuration', unit: 'Seconds', dimensions: PROFILE },
  serverDuration: { name: 'ServerDuration', unit: 'Seconds', dimensions: PROFILE },
  callWait: { name: 'CallWait', unit: 'Seconds', dimensions: { ...PROFILE, wait: 'Wait' } },
  httpRequests: { name: 'HttpRequests', unit: 'Count', dimensions: PROFILE },
  httpResponses: {
    name: 'HttpResponses',
    unit: 'Count',
    dimensions: { ...PROFILE, status_class: 'StatusClass' },
  },
  httpFailures: { name: 'HttpFailures', unit: 'Count', dimensions: PROFILE },
  httpBytes: { name: 'HttpBytes', unit: 'Bytes', dimensions: { ...PROFILE, direction: 'Direction' } },
  signatures: { name: 'Signatures', unit: 'Count', dimensions: PROFILE },
  authRejections: { name: 'AuthRejections', unit: 'Count', dimensions: PROFILE },
  connections: { name: 'Connections', unit: 'Count', dimensions: { ...PROFILE, state: 'State' } },
  connectionsWaiting: { name: 'ConnectionWaiters', unit: 'Count', dimensions: PROFILE },
  sessions: { name: 'Sessions', unit: 'Count', dimensions: { ...PROFILE, state: 'State' } },
  sessionsOpened: { name: 'SessionsOpened', unit: 'Count', dimensions: { ...PROFILE, reason: 'Reason' } },
  sessionsClosed: { name: 'SessionsClosed', unit: 'Count', dimensions: { ...PROFILE, reason: 'Reason' } },
  sessionBorrowWait: { name: 'SessionBorrowWait', unit: 'Seconds', dimensions: PROFILE },
  breakerState: { name: 'BreakerState', unit: 'Count', dimensions: { ...PROFILE, state: 'State' } },
  retries: { name: 'Retries', unit: 'Count', dimensions: PROFILE },
  throttled: { name: 'Throttled', unit: 'Count', dimensions: PROFILE },
  overloads: { name: 'Overloads', unit: 'Count', dimensions: PROFILE },
  backpressureActive: { name: 'BackpressureActive', unit: 'Count', dimensions: PROFILE },
  backpressureQueued: { name: 'BackpressureQueued', unit: 'Count', dimensions: PROFILE },
  credentialsExpiry: { name: 'CredentialsExpiry', unit: 'Seconds', dimensions: PROFILE },
  listenerRefusals: { name: 'ListenerRefusals', unit: 'Count', dimensions: {} },
  memory: { name: 'ResidentMemory', unit: 'Bytes', dimensions: {} },
  loopDelay: { name: 'EventLoopDelay', unit: 'Seconds', dimensions: { stat: 'Stat' } },
};
