import { maySignWithAws } from '../../auth/kinds.ts';
import { logout } from '../../auth/oauth/logout.ts';
import { causeText } from '../../core/errors/errors.ts';
import { systemClock } from '../../core/time/clock.ts';
import { loginStoreOf } from '../../oauth-wiring.ts';
import type { CommandContext } from '../command.ts';
import { profileText } from '../credential-names.ts';
import { EXIT_FAILED } from '../exit-codes.ts';
import { fail } from '../failure.ts';
import { runAwsLogout } from './aws-login.ts';
import { withOAuth } from './with-oauth.ts';

/** Ends the login that the requests of a profile use. */
export async function run(context: CommandContext): Promise<number> {
  const { settings, stdout, args } = context;
  if (settings.auth === 'oauth') return runOAuthLogout(context);
  if (maySignWithAws(settings.auth)) return runAwsLogout(context);
  const profile = args.words[0] ?? settings.defaultProfile;
  stdout.write(`${profileText(profile)} needs no login: requests use --auth ${settings.auth}.\n`);
  return 0;
}

async function runOAuthLogout(context: CommandContext): Promise<number> {
  const { stdout, stderr, signal } = context;
  return withOAuth(context, async (settings, loadDeps) => {
    const { host } = settings.endpoint;
    try {
      const facts = await logout(loadDeps, loginStoreOf(settings, systemClock), signal);
      if (!facts.wasLoggedIn) {
        stdout.write(`There is no login for ${host}.\n`);
        return 0;
      }
      stdout.write(`Logged out of ${host}${facts.isRevoked ? '; the tokens are revoked' : ''}.\n`);
      if (facts.problem !== undefined)
        stderr.note(
          `The tokens were not revoked: ${causeText(facts.problem)}. They stay valid until they expire.\n`,
        );
      return 0;
    } catch (error) {
      if (signal.aborted) return EXIT_FAILED;
      const message = `The logout from ${host} failed: ${causeText(error)}.`;
      return fail(context, { code: null, reason: 'logout-failed', message });
    }
  });
}
