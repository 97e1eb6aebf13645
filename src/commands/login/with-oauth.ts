import type { OAuthDeps } from '../../auth/oauth/oauth-deps.ts';
import type { OAuthSettings } from '../../auth/oauth/oauth-settings.ts';
import { Events } from '../../core/pipeline/events.ts';
import { systemClock } from '../../core/time/clock.ts';
import { oauthDepsOf, oauthSettingsOf } from '../../oauth-wiring.ts';
import { McpProxy } from '../../proxy.ts';
import type { CommandContext } from '../command.ts';

/**
 * Runs a command that sends requests to the authorization server. They use the HTTP proxy and the
 * certificates of the settings, as those of the proxy do.
 */
export async function withOAuth(
  { args, settings: all, signal }: CommandContext,
  use: (settings: OAuthSettings, loadDeps: () => Promise<OAuthDeps>) => Promise<number>,
): Promise<number> {
  const [named] = args.words;
  // An argument names the login, even if AWS_PROFILE sets the default profile.
  const settings =
    named === undefined
      ? oauthSettingsOf(all, all.defaultProfile)
      : oauthSettingsOf({ ...all, from: { ...all.from, profile: '--profile' } }, named);
  const proxy = new McpProxy(all, { clock: systemClock, events: new Events() });
  const { connect } = proxy.profileTransport(named ?? all.defaultProfile);
  try {
    return await use(settings, () => oauthDepsOf(settings, { connect, clock: systemClock }, signal));
  } finally {
    await proxy.close();
  }
}
