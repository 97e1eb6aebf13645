import type { Layer } from './core/pipeline/call.ts';
import { LoginElicitation } from './layers/login-elicitation/login-elicitation.ts';
import { profile } from './layers/profile.ts';
import { isUnfiltered } from './layers/tool-filter/rules.ts';
import { toolFilter } from './layers/tool-filter/tool-filter.ts';
import { whoami } from './layers/whoami.ts';
import type { Settings } from './settings.ts';
import type { Wiring } from './wiring.ts';

/** The layer that chooses the profile of a call. */
export function profileLayer(settings: Settings, { tools, clock, events }: Wiring): Layer {
  const { profiles, profileTools: globs } = settings;
  return profile({ profiles, globs, toolsOf: (name) => tools.of(name), clock, events });
}

/** Passes logins to the client; undefined if no login can be needed. */
export function loginElicitation(
  { auth, oauthFlow }: Settings,
  wiring: Wiring,
): LoginElicitation | undefined {
  if (!['oauth', 'auto'].includes(auth) || oauthFlow !== 'code') return undefined;
  return new LoginElicitation({
    begin: (name, signal) => wiring.beginLogin(name, signal),
    pending: (name) => wiring.pendingLogin(name),
    clock: wiring.clock,
  });
}

/** The layer of --whoami-tool, if set. */
export function whoamiLayers(settings: Settings, { tools, identities }: Wiring): Layer[] {
  const { whoamiTool, profiles, denyTool: denied } = settings;
  if (!whoamiTool) return [];
  return [
    whoami({
      profiles,
      denied,
      isListed: (name, of) => tools.of(of).definitionOf(name) !== undefined,
      identityOf: (of, signal) => identities.of(of, signal),
    }),
  ];
}

/** The layer of --read-only, --allow-tool and --deny-tool, if one is set. */
export const filterLayers = (settings: Settings, wiring: Wiring): Layer[] =>
  isUnfiltered(settings) ? [] : [toolFilter({ ...wiring.toolDeps(), rules: settings })];
