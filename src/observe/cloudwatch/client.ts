// The only file that imports the CloudWatch client. It is loaded with the first publication.
import { CloudWatchClient, type MetricDatum, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import type { Delta } from './deltas.ts';
import type { SendDeltas } from './publisher.ts';

/** CloudWatch takes 1,000; each has up to 15 buckets here. */
const MAX_DATA = 500;
/** A failed publication is repeated with the next one. */
const MAX_ATTEMPTS = 2;

export interface CloudWatchOptions {
  readonly namespace: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly region: string;
  /** Undefined: that of AWS, or of the variables of the SDK. */
  readonly endpoint: string | undefined;
  readonly credentials: () => Promise<{
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
    readonly expiration?: Date;
  }>;
  /** Uses the proxy's HTTP proxy and certificates. */
  readonly requestHandler: unknown;
}

/** Creates what sends deltas by PutMetricData. */
export function createSender(options: CloudWatchOptions): SendDeltas {
  const { namespace, dimensions, region, endpoint, credentials, requestHandler } = options;
  const client = new CloudWatchClient({
    region,
    ...(endpoint ? { endpoint } : {}),
    credentials,
    requestHandler: requestHandler as NonNullable<
      ConstructorParameters<typeof CloudWatchClient>[0]
    >['requestHandler'] &
      object,
    maxAttempts: MAX_ATTEMPTS,
  });
  return async (deltas, at, signal) => {
    for (let from = 0; from < deltas.length; from += MAX_DATA) {
      const batch = deltas.slice(from, from + MAX_DATA);
      const data = batch.map((delta) => toDatum(delta, dimensions, new Date(at)));
      await client.send(new PutMetricDataCommand({ Namespace: namespace, MetricData: data }), {
        abortSignal: signal,
      });
      // Each batch for itself: what CloudWatch has taken must not be sent again.
      for (const { commit } of batch) commit();
    }
  };
}

function toDatum(
  { name, unit, value, dimensions: own }: Delta,
  dimensions: Readonly<Record<string, string>>,
  timestamp: Date,
): MetricDatum {
  const all = Object.entries({ ...dimensions, ...own });
  return {
    MetricName: name,
    Unit: unit,
    Timestamp: timestamp,
    Dimensions: all.map(([Name, Value]) => ({ Name, Value })),
    ...(typeof value === 'number'
      ? { Value: value }
      : { Values: [...value.values], Counts: [...value.counts] }),
  };
}
