import type { SessionParts } from './open-session.ts';
import { loadClientFactory, loadTransportFactory } from './peers.ts';
import { isProxy, type PoolConfig } from './read-options.ts';
import type { PoolClient, PoolTransport, TransportContext } from './session.ts';

interface EndpointParts<C> extends SessionParts<C> {
  /** Closes the connections that all sessions of the endpoint share. */
  readonly stop: () => void;
}

type CreateTransport = (context: TransportContext) => PoolTransport | Promise<PoolTransport>;

/** The kind of transport, as a part of keys. Pure. */
export const transportKind = <C extends PoolClient>({ options }: PoolConfig<C>): string => {
  if (options.transportFactory) return 'custom';
  return options.auth === undefined ? 'sigv4' : 'streamable-http';
};

/**
 * Creates the factories of sessions, once per endpoint. Loads the SDK and the proxy on first use.
 */
export class TransportParts<C extends PoolClient> {
  readonly #config: PoolConfig<C>;
  readonly #parts = new Map<string, Promise<EndpointParts<C>>>();

  constructor(config: PoolConfig<C>) {
    this.#config = config;
  }

  /** @throws OptionsError; SessionPoolError missing-peer. A failure is not kept. */
  readonly of = (endpoint: string): Promise<EndpointParts<C>> => {
    const existing = this.#parts.get(endpoint);
    if (existing) return existing;
    const created = this.#create(endpoint);
    this.#parts.set(endpoint, created);
    created.catch(() => this.#parts.delete(endpoint));
    return created;
  };

  /** Closes the connections of an endpoint. */
  stop(endpoint: string): void {
    const parts = this.#parts.get(endpoint);
    this.#parts.delete(endpoint);
    parts?.then(({ stop }) => stop()).catch(() => undefined);
  }

  stopAll(): void {
    for (const endpoint of [...this.#parts.keys()]) this.stop(endpoint);
  }

  async #create(endpoint: string): Promise<EndpointParts<C>> {
    const { clientFactory } = this.#config.options;
    const createClient = clientFactory ?? ((await loadClientFactory()) as unknown as () => C);
    return { createClient, ...(await this.#transports(endpoint)) };
  }

  async #transports(endpoint: string): Promise<{ createTransport: CreateTransport; stop: () => void }> {
    const { options, limits } = this.#config;
    const { transportFactory, auth, proxy: given } = options;
    if (transportFactory) return { createTransport: transportFactory, stop: () => undefined };
    if (auth !== undefined) {
      const create = await loadTransportFactory();
      return { createTransport: ({ fetch }) => create(endpoint, fetch), stop: () => undefined };
    }
    const [{ createProxy }, { SigV4ClientTransport }] = await Promise.all([
      import('../create-proxy.ts'),
      import('../transport.ts'),
    ]);
    // Each session may have a request in flight.
    const proxy = isProxy(given)
      ? given
      : await createProxy({ maxConnections: limits.max, ...given, endpoint });
    return {
      createTransport: ({ headers }) =>
        new SigV4ClientTransport(proxy, { headers }) as unknown as PoolTransport,
      stop: () => {
        if (!isProxy(given)) proxy.stop();
      },
    };
  }
}
