import { type Clock, systemClock } from './core/time/clock.ts';
import { withTimeout } from './core/time/waits.ts';
import { readMetadata } from './layers/metadata.ts';
import { DeltaReader } from './observe/cloudwatch/deltas.ts';
import { MAX_PUBLICATION_MS, type SendDeltas } from './observe/cloudwatch/publisher.ts';
import type { Metrics } from './observe/metrics/catalog.ts';
import type { Settings } from './settings.ts';
import type { ProfileTransport } from './upstream/transport/transports.ts';

/**
 * Creates what sends deltas to CloudWatch, signed with the credentials of the profile, on the same
 * way as its requests. Loads the client of CloudWatch.
 */
export async function cloudWatchSender(
  { homeRegion, env, cloudwatchDimensions }: Settings,
  { credentials, connect }: ProfileTransport,
  namespace: string,
): Promise<SendDeltas> {
  // The SDK's warning about Node would appear in the log of the client.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const [{ createSender }, { createSdkHttpHandler }] = await Promise.all([
    import('./observe/cloudwatch/client.ts'),
    import('./upstream/http/sdk-http.ts'),
  ]);
  if (!credentials) throw new Error('requests are not signed, so there are no credentials');
  return createSender({
    namespace,
    dimensions: readMetadata(cloudwatchDimensions),
    region: homeRegion ?? env.AWS_REGION ?? '',
    endpoint: env.AWS_ENDPOINT_URL_CLOUDWATCH,
    credentials: () => credentials.current(new AbortController().signal),
    requestHandler: createSdkHttpHandler(connect, systemClock),
  });
}

/** Returns a function that publishes what was counted since its last successful call. */
export function onDemandPublisher(
  settings: Settings,
  transport: ProfileTransport,
  namespace: string,
  { read, clock }: { readonly read: () => Metrics; readonly clock: Clock },
): () => Promise<void> {
  const deltas = new DeltaReader(read);
  let sender: SendDeltas | undefined;
  let last: Promise<void> = Promise.resolve();
  const publish = async (): Promise<void> => {
    sender ??= await cloudWatchSender(settings, transport, namespace);
    const send = sender;
    await withTimeout(clock, MAX_PUBLICATION_MS, (signal) => send(deltas.take(), clock.now(), signal));
  };
  return () => {
    // One at a time: two would send the same deltas.
    const next = last.then(publish);
    last = next.catch(() => undefined);
    return next;
  };
}
