import type { CredentialSource } from '../auth/credentials/source.ts';
import { Events } from '../core/pipeline/events.ts';
import { type Clock, systemClock } from '../core/time/clock.ts';
import type { HttpClients } from '../http-clients.ts';
import type { SharedLimits } from '../limits/shared-limits.ts';
import type { ProxyHooks } from '../observe/hooks.ts';
import { type Logger, logTo } from '../observe/program-logger.ts';
import type { UserLayers } from '../proxy.ts';
import type { Settings } from '../settings.ts';
import { checkedLayers } from './checked-layers.ts';
import { ObservedProxy } from './observed-proxy.ts';
import { PROXY_OPTION_KEYS, type ProxyOptions } from './proxy-options.ts';
import { settingsFrom } from './read-options.ts';

/** The options of `createProxy`. */
export interface CreateProxyOptions extends ProxyOptions {
  /** The URL of the MCP server, or the ARN of an AgentCore runtime or gateway. */
  readonly endpoint?: string | URL | undefined;
  /**
   * The variables of AWS and of HTTP proxies. Default: `process.env`. Variables of the command line
   * (`MCP_PROXY_...`) and its configuration file have no effect.
   */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Credentials, or a function that returns them, in place of `profile` and the variables. */
  readonly credentials?: CredentialSource | undefined;
  /** Default: the system clock. */
  readonly clock?: Clock | undefined;
  /** Receives the events of the proxy. The proxy writes no log of its own. */
  readonly events?: Events | undefined;
  /** Receives events as log lines by level, without secrets. Default: no log. */
  readonly logger?: Logger | undefined;
  /** Functions to call when something happens. */
  readonly hooks?: ProxyHooks | undefined;
  /** Layers of the program, before or after those of the proxy. */
  readonly layers?: UserLayers | undefined;
}

/** The options that exist only in the library, not on the command line. */
export const PROGRAM_OPTIONS = [
  'endpoint',
  'env',
  'credentials',
  'clock',
  'events',
  'logger',
  'hooks',
  'layers',
];

/**
 * Creates a proxy from typed options. Sends and opens nothing.
 * @throws OptionsError with all problems.
 */
export async function createProxy(options: CreateProxyOptions = {}): Promise<ObservedProxy> {
  const settings = await settingsFrom(options as Readonly<Record<string, unknown>>, {
    what: 'createProxy',
    keys: PROXY_OPTION_KEYS,
    others: PROGRAM_OPTIONS,
  });
  return proxyOf(settings, options);
}

/**
 * The proxy of valid settings.
 * @internal
 * @param http - the class that serves HTTP clients, for a listener.
 */
export async function proxyOf(
  settings: Settings,
  options: CreateProxyOptions,
  http?: typeof HttpClients,
): Promise<ObservedProxy> {
  const { clock = systemClock, events = new Events(), hooks, layers, credentials, logger } = options;
  // Subscribed first, so that the logger receives the secrets of the settings, which it removes.
  if (logger) logTo(logger, events, clock);
  return new ObservedProxy(settings, {
    clock,
    events,
    layers: checkedLayers(layers),
    credentials,
    sharedLimits: await sharedLimitsOf(settings, clock, events),
    HttpClients: http,
    ...(hooks ? { hooks } : {}),
  });
}

/** Loads Redis only if several processes share limits. */
async function sharedLimitsOf(
  { limits: url, endpoint, limitReplicas: minReplicas }: Settings,
  clock: Clock,
  events: Events,
): Promise<SharedLimits | undefined> {
  if (url === undefined) return undefined;
  const { redisLimits } = await import('../limits/shared-limits.ts');
  return redisLimits({ url, endpoint, minReplicas, clock, events });
}
