import { type Message, type Notification, paramsOf, type Request } from '../../core/jsonrpc/message.ts';
import { shortKey } from '../../core/jsonrpc/short-key.ts';
import { SizedMap } from '../../core/system/sized-map.ts';

const SESSION_WIDE_METHODS: ReadonlySet<string> = new Set([
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'notifications/roots/list_changed',
]);

/** True for messages that apply to all sessions of one profile. */
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

/** Each is replayed while calls wait for the new session. The oldest are dropped. */
const MAX_SUBSCRIPTIONS = 1_024;
/** Their requests: 4 KiB each, where a URI has some hundred characters. */
const MAX_SUBSCRIPTION_CHARACTERS = 4 * 1024 * 1024;
/** The request that sets the log level, which names one word. */
const MAX_LOG_LEVEL_CHARACTERS = 64 * 1024;

/** The client's state that a new session needs: log level and subscriptions. */
export class ClientState {
  readonly #primary: ClientState | undefined;
  #logLevel: Request | undefined;
  readonly #subscriptions = new SizedMap<Request>({
    maxEntries: MAX_SUBSCRIPTIONS,
    maxBytes: MAX_SUBSCRIPTION_CHARACTERS,
  });

  /** @param primary - the state with the default profile; undefined for that profile. */
  constructor(primary?: ClientState) {
    this.#primary = primary;
  }

  /** Call this for requests that succeeded. Longer ones are not kept and not replayed. */
  remember(message: Message): void {
    if (message.kind !== 'request') return;
    const { uri } = paramsOf(message);
    if (message.method === 'logging/setLevel') {
      this.#logLevel = message.text.length <= MAX_LOG_LEVEL_CHARACTERS ? message : undefined;
    } else if (message.method === 'resources/subscribe' && typeof uri === 'string') {
      this.#subscriptions.set(shortKey(uri), message, message.text.length);
    } else if (message.method === 'resources/unsubscribe' && typeof uri === 'string') {
      this.#subscriptions.delete(shortKey(uri));
    }
  }

  clear(): void {
    this.#logLevel = undefined;
    this.#subscriptions.clear();
  }

  /** The requests to replay; of those for another profile only what applies to all. */
  get requests(): readonly Request[] {
    if (this.#primary) return this.#primary.#profileWide;
    return [...this.#profileWide, ...this.#subscriptions.values()];
  }

  get #profileWide(): readonly Request[] {
    return this.#logLevel ? [this.#logLevel] : [];
  }
}
