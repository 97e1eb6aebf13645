import { systemClock } from '../core/clock.ts';
import { causeText } from '../core/errors.ts';
import type { Events } from '../core/events.ts';
import type { McpProxy } from '../proxy.ts';
import type { Settings } from '../settings.ts';

export interface Listener {
  /** Takes no new requests; those in flight may finish within the drain time. Resolves when the last answer has left. */
  drain(): Promise<void>;
}

/**
 * Serves the clients of --listen.
 * @throws Error with one sentence for a person, where the address cannot be listened on.
 */
export async function listen(
  settings: NonNullable<Settings['listener']>,
  proxy: McpProxy,
  events: Events,
): Promise<Listener> {
  const { token, address, drainTimeout, maxStreams } = settings;
  if (token !== undefined) events.emit({ type: 'secret.known', value: token });
  // Loaded when it is needed: a client on stdio must not wait for it.
  const { HttpFront } = await import('../front/http.ts');
  const relay = proxy.connectHttp(maxStreams);
  const front = await HttpFront.open({
    ...settings,
    clock: systemClock,
    handlers: relay,
    onRefused: (status, message) => events.emit({ type: 'client.refused', status, message }),
  }).catch((error: unknown) => {
    throw new Error(
      `cannot listen on ${address.host}:${address.port}: ${causeText(error)}. Name another address with --listen.`,
    );
  });
  events.emit({ type: 'listener.opened', url: front.url });
  return {
    async drain() {
      front.leave();
      await relay.drain(drainTimeout * 1_000);
      await front.close();
    },
  };
}
