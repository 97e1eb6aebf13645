import { maySignWithAws } from '../../auth/kinds.ts';
import type { CommandContext } from '../command.ts';
import { profileText } from '../credential-names.ts';
import { runAwsLogin } from './aws-login.ts';
import { runOAuthLogin } from './oauth-login.ts';

/** Runs the login that the requests of a profile need. */
export async function run(context: CommandContext): Promise<number> {
  const { settings, stdout, args } = context;
  if (settings.auth === 'oauth') return runOAuthLogin(context);
  if (maySignWithAws(settings.auth)) return runAwsLogin(context);
  const profile = args.words[0] ?? settings.defaultProfile;
  stdout.write(`${profileText(profile)} needs no login: requests use --auth ${settings.auth}.\n`);
  return 0;
}
