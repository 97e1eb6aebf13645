import { type Message, type Notification, paramsOf, type Request } from '../../core/jsonrpc/message.ts';

/** What every session is told that the client tells one. */
const SESSION_WIDE_METHODS: ReadonlySet<string> = new Set([
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'notifications/roots/list_changed',
]);

/** True for what concerns every session that the client has, though it knows of one. */
export const isSessionWide = (message: Message): message is Request | Notification =>
  message.kind !== 'response' && SESSION_WIDE_METHODS.has(message.method);

/**
 * What is said to no profile's server in particular. Subscriptions are to the default one's
 * resources.
 */
const PROFILE_WIDE_METHODS: ReadonlySet<string> = new Set([
  'logging/setLevel',
  'notifications/roots/list_changed',
]);

/** True for what concerns the sessions of every profile. */
export const isProfileWide = (message: Message): message is Request | Notification =>
  message.kind !== 'response' && PROFILE_WIDE_METHODS.has(message.method);

/**
 * Each is a request of its own while calls wait for the new session. Of a client that makes more,
 * the oldest are not made again.
 */
const MAX_SUBSCRIPTIONS = 1_024;

/** What a new session has to be told again, because the client believes it said. */
export class ClientState {
  #logLevel: Request | undefined;
  readonly #subscriptions = new Map<string, Request>();

  /** For what the server has answered with a result. */
  remember(message: Message): void {
    if (message.kind !== 'request') return;
    const { uri } = paramsOf(message);
    if (message.method === 'logging/setLevel') this.#logLevel = message;
    else if (message.method === 'resources/subscribe' && typeof uri === 'string') {
      this.#subscriptions.set(uri, message);
      for (const oldest of this.#subscriptions.keys()) {
        if (this.#subscriptions.size <= MAX_SUBSCRIPTIONS) break;
        this.#subscriptions.delete(oldest);
      }
    } else if (message.method === 'resources/unsubscribe' && typeof uri === 'string') {
      this.#subscriptions.delete(uri);
    }
  }

  /** The client has begun anew. */
  clear(): void {
    this.#logLevel = undefined;
    this.#subscriptions.clear();
  }

  get requests(): readonly Request[] {
    return [...this.profileWide, ...this.#subscriptions.values()];
  }

  /** Of these, what a new session of another profile has to be told. */
  get profileWide(): readonly Request[] {
    return this.#logLevel ? [this.#logLevel] : [];
  }
}
