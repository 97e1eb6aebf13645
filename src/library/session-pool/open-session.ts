import { causeText } from '../../core/errors/errors.ts';
import type { Clock } from '../../core/time/clock.ts';
import { abortable } from '../../core/time/waits.ts';
import { OptionsError } from '../options-error.ts';
import { callbackFailed, connectFailed, SessionPoolError } from './errors.ts';
import { observed, type TransportObserver } from './observed-transport.ts';
import type { SessionPoolOptions } from './options.ts';
import {
  closeTransport,
  type PoolClient,
  PooledSession,
  type PoolTransport,
  type TransportContext,
} from './session.ts';
import { faultOfError } from './session-fault.ts';
import { sessionFetch } from './session-fetch.ts';

export interface SessionParts<C> {
  readonly createClient: () => C | Promise<C>;
  readonly createTransport: (context: TransportContext) => PoolTransport | Promise<PoolTransport>;
}

export interface OpenSessionDeps<C> {
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
  readonly auth: SessionPoolOptions['auth'];
  readonly warmupHook: ((client: C, signal: AbortSignal) => unknown) | undefined;
  /** Loads the SDK and creates the proxy, where they are needed. */
  readonly parts: (endpoint: string) => Promise<SessionParts<C>>;
}

export interface SessionOrder<C> {
  readonly endpoint: string;
  /** The headers that the session is opened with. */
  readonly headers: Readonly<Record<string, string>>;
  readonly observe: (session: () => PooledSession<C> | undefined) => TransportObserver;
}

/**
 * Opens a session within the connect timeout. A failed opening leaves nothing open.
 * @throws SessionPoolError; the signal's reason.
 */
export async function openSession<C extends PoolClient>(
  deps: OpenSessionDeps<C>,
  order: SessionOrder<C>,
  signal: AbortSignal,
): Promise<PooledSession<C>> {
  // A platform signal, because clients and transports of the SDK may combine it with others.
  const attempt = new AbortController();
  const leave = (): void => attempt.abort(signal.reason);
  signal.throwIfAborted();
  signal.addEventListener('abort', leave, { once: true });
  let step = 'endpoint';
  const timer = deps.clock.schedule(deps.connectTimeoutMs, () => {
    const seconds = deps.connectTimeoutMs / 1_000;
    const text = step === 'endpoint' ? 'the server did not answer' : `${step} did not return`;
    attempt.abort(
      new SessionPoolError(
        'connect-failed',
        step,
        `Failed to create session: ${text} within ${seconds} s (connectTimeout)`,
      ),
    );
  });
  let session: PooledSession<C> | undefined;
  let transport: PoolTransport | undefined;
  let client: C | undefined;
  const headers = { current: order.headers };
  const observer = order.observe(() => session);
  try {
    const { createClient, createTransport } = await abortable(deps.parts(order.endpoint), attempt.signal);
    let usesFetch = false;
    const { endpoint } = order;
    const { auth, clock } = deps;
    const fetch = sessionFetch({
      endpoint,
      auth,
      clock,
      headers: () => headers.current,
      onPause: observer.onPause,
    });
    const context: TransportContext = {
      endpoint,
      headers: order.headers,
      signal: attempt.signal,
      get fetch() {
        usesFetch = true;
        return fetch;
      },
    };
    step = 'transportFactory';
    const created = await made(step, () => createTransport(context), attempt.signal, [
      'start',
      'send',
      'close',
    ]);
    transport = created as unknown as PoolTransport;
    step = 'clientFactory';
    client = await made(step, createClient, attempt.signal, ['connect', 'close', 'callTool', 'listTools']);
    step = 'endpoint';
    const options = {
      signal: attempt.signal,
      timeout: Math.min(deps.connectTimeoutMs + 1_000, MAX_TIMEOUT_MS),
    };
    const connecting = client.connect(observed(transport, observer) as never, options as never);
    await abortable(connecting, attempt.signal);
    if (deps.warmupHook) {
      step = 'warmupHook';
      await warmedUp(deps.warmupHook, client, attempt.signal);
    }
    const { setHeaders } = transport;
    const apply = (next: Readonly<Record<string, string>>): void => {
      setHeaders?.call(transport, next);
      headers.current = next;
    };
    session = new PooledSession(
      client,
      transport,
      order.headers,
      setHeaders || usesFetch ? apply : undefined,
    );
    return session;
  } catch (error) {
    const opened = transport;
    // Not awaited, because the server may hang, and the slot is free at once.
    void closeTransport(opened, client);
    throw attempt.signal.aborted ? attempt.signal.reason : asOpenError(error);
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', leave);
  }
}

/** The longest timer of Node.js: longer ones fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Calls a factory, and closes an object that it returns too late. */
async function made<T extends object>(
  field: string,
  create: () => T | Promise<T>,
  signal: AbortSignal,
  methods: readonly string[],
): Promise<T> {
  let creating: Promise<T>;
  try {
    creating = Promise.resolve(create());
  } catch (error) {
    throw factoryFailed(field, error);
  }
  creating.then(
    (late) => {
      if (signal.aborted) void (late as Partial<PoolClient> | undefined)?.close?.();
    },
    () => undefined,
  );
  let value: unknown;
  try {
    value = await abortable(creating, signal);
  } catch (error) {
    throw signal.aborted ? signal.reason : factoryFailed(field, error);
  }
  const isUsable =
    typeof value === 'object' &&
    value !== null &&
    methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
  if (!isUsable) throw callbackFailed(field, `must return an object with the methods ${methods.join(', ')}`);
  return value as T;
}

/** Errors of the pool itself and of its options keep their field. */
const factoryFailed = (field: string, error: unknown): Error =>
  error instanceof OptionsError || error instanceof SessionPoolError
    ? error
    : new SessionPoolError(
        'connect-failed',
        field,
        `Failed to create session: ${field} failed: ${causeText(error)}`,
        {
          cause: error,
        },
      );

async function warmedUp<C>(
  hook: (client: C, signal: AbortSignal) => unknown,
  client: C,
  signal: AbortSignal,
): Promise<void> {
  try {
    await abortable(Promise.resolve(hook(client, signal)), signal);
  } catch (error) {
    throw signal.aborted ? signal.reason : callbackFailed('warmupHook', `failed: ${causeText(error)}`, error);
  }
}

const asOpenError = (error: unknown): Error =>
  error instanceof SessionPoolError || error instanceof OptionsError ? error : connectFailed(error);

/** The consequence of a failed opening. */
export type OpeningVerdict =
  /** Counts against the server; another attempt may succeed. */
  | 'failed'
  /** Does not count against the server; another attempt would end the same way. */
  | 'final';

export function verdictOf(error: unknown): OpeningVerdict {
  if (error instanceof OptionsError) return 'final';
  if (error instanceof SessionPoolError) {
    if (error.reason === 'callback-failed' || error.reason === 'missing-peer') return 'final';
    const { cause } = error;
    return cause !== undefined && faultOfError(cause) === 'refused' ? 'final' : 'failed';
  }
  return 'failed';
}
