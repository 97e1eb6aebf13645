import { type Message, type Notification, paramsOf, type Request } from '../../core/jsonrpc/message.ts';

/** Methods that apply to all sessions of the client. */
const SESSION_WIDE_METHODS: ReadonlySet<string> = new Set([
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'notifications/roots/list_changed',
]);

/** True for messages that apply to all sessions of the client. */
export const isSessionWide = (message: Message): message is Request | Notification =>
  message.kind !== 'response' && SESSION_WIDE_METHODS.has(message.method);

/** Methods that apply to all profiles. Subscriptions name resources of the default profile. */
const PROFILE_WIDE_METHODS: ReadonlySet<string> = new Set([
  'logging/setLevel',
  'notifications/roots/list_changed',
]);

/** True for messages that apply to the sessions of all profiles. */
export const isProfileWide = (message: Message): message is Request | Notification =>
  message.kind !== 'response' && PROFILE_WIDE_METHODS.has(message.method);

/**
 * Each is replayed while calls wait for the new session. Beyond the bound, the oldest are dropped.
 */
const MAX_SUBSCRIPTIONS = 1_024;

/** The client's state that a new session needs: log level and subscriptions. */
export class ClientState {
  #logLevel: Request | undefined;
  readonly #subscriptions = new Map<string, Request>();

  /** Call this for requests that succeeded. */
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

  /** The client has initialized again. */
  clear(): void {
    this.#logLevel = undefined;
    this.#subscriptions.clear();
  }

  get requests(): readonly Request[] {
    return [...this.profileWide, ...this.#subscriptions.values()];
  }

  /** The requests that apply to other profiles too. */
  get profileWide(): readonly Request[] {
    return this.#logLevel ? [this.#logLevel] : [];
  }
}
