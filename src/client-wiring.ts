import type { HttpHandlerDeps } from './client/http/handler.ts';
import type { RelayDeps } from './client/stdio/relay-deps.ts';
import type { TimeLimits } from './client/time-limit.ts';
import { isToolsChanged } from './core/tools/list-changes.ts';
import { isUnfiltered } from './layers/tool-filter/rules.ts';
import type { Settings } from './settings.ts';
import { toUpstreamHeaders } from './upstream/passthrough/headers.ts';
import { SECOND_MS, type Wiring } from './wiring.ts';

function timeLimits({ timeout, toolTimeout, initializeTimeout }: Settings): TimeLimits {
  return {
    timeoutMs: timeout * SECOND_MS,
    toolTimeoutMs: toolTimeout * SECOND_MS,
    initializeTimeoutMs: initializeTimeout * SECOND_MS,
  };
}

/** The settings for the relay of a stdio client. */
export function relayDeps(
  settings: Settings,
  { clock, events }: Wiring,
): Omit<RelayDeps, 'handler' | 'client' | 'send'> {
  return {
    profile: settings.defaultProfile,
    clock,
    events,
    limits: { ...timeLimits(settings), maxLineBytes: settings.maxLine },
    heartbeatMs: settings.progressHeartbeat * SECOND_MS,
  };
}

/** The settings for the handler of all HTTP clients. */
export function httpHandlerDeps(
  settings: Settings,
  wiring: Wiring,
): Omit<HttpHandlerDeps, 'handler' | 'forward' | 'maxStreams' | 'soleCaller'> {
  const { defaultProfile, toolCacheTtl, headers: own, disableTelemetry } = settings;
  const { 'user-agent': userAgent = '' } = wiring.headersFor('');
  return {
    profile: defaultProfile,
    clock: wiring.clock,
    events: wiring.events,
    limits: timeLimits(settings),
    keepaliveMs: settings.sseKeepalive * SECOND_MS,
    heartbeatMs: settings.progressHeartbeat * SECOND_MS,
    mergesPages: settings.pages === 'merge',
    readsLists: settings.whoamiTool || !isUnfiltered(settings) || (toolCacheTtl ?? 0) > 0,
    findTool: (name) => wiring.tools.of(defaultProfile).definitionOf(name),
    toUpstreamHeaders: (headers) =>
      toUpstreamHeaders(headers, own, { userAgent, andClient: !disableTelemetry }),
    onNotification: ({ method }) => {
      if (isToolsChanged(method)) wiring.tools.of(defaultProfile).invalidate({ clientKnows: true });
    },
  };
}
