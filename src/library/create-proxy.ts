import type { CredentialSource } from '../auth/credentials/source.ts';
import { Events } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import type { ProxyHooks } from '../observe/hooks.ts';
import type { UserLayers } from '../proxy.ts';
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
  /** Receives what happens. The proxy writes no log of its own. */
  readonly events?: Events | undefined;
  /** Functions to call when something happens. */
  readonly hooks?: ProxyHooks | undefined;
  /** Layers of the program, before or after those of the proxy. */
  readonly layers?: UserLayers | undefined;
}

/** The members that are no options of the command line. */
export const PROGRAM_OPTIONS = ['endpoint', 'env', 'credentials', 'clock', 'events', 'hooks', 'layers'];

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
  const { clock, events = new Events(), hooks, layers, credentials } = options;
  return new ObservedProxy(settings, {
    events,
    layers,
    credentials,
    ...(clock ? { clock } : {}),
    ...(hooks ? { hooks } : {}),
  });
}
