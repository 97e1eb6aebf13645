import { spawn } from 'node:child_process';
import { credentialsMessage } from '../../auth/credentials/errors.ts';
import { type CredentialPlan, type PlanFailure, planCredentials } from '../../auth/credentials/plan.ts';
import { readSharedFiles } from '../../auth/credentials/shared-files.ts';
import { causeText } from '../../core/errors/errors.ts';
import { type CommandContext, printError } from '../command.ts';
import { profileText, providerText } from '../credential-names.ts';
import { EXIT_FAILED } from '../exit-codes.ts';
import { fail } from '../failure.ts';
import { shellLine } from '../shell-word.ts';

/** The exit code of shells for a command that does not exist. */
const EXIT_NOT_FOUND = 127;

/** Runs the login that the credentials of a profile need, and prints the command first. */
export const runAwsLogin = (context: CommandContext): Promise<number> => runAws(context, loginCommand);

/** Runs the command that ends the login of a profile, and prints it first. */
export const runAwsLogout = (context: CommandContext): Promise<number> => runAws(context, logoutCommand);

async function runAws(context: CommandContext, commandOf: typeof loginCommand): Promise<number> {
  const { args, settings, stdout, stderr } = context;
  const profile = args.words[0] ?? settings.defaultProfile;
  const files = await readSharedFiles(settings.env);
  const plan = planCredentials(profile === '' ? undefined : profile, settings.env, files);
  if (isFailure(plan)) {
    const { config: configFile } = files.paths;
    const known = Object.keys(files.profiles).sort();
    const failure = plan.what === 'missing-profile' ? { ...plan, configFile, known } : plan;
    const message = credentialsMessage(profile === '' ? undefined : profile, failure);
    return fail(context, { code: null, reason: 'no-credentials', message });
  }
  const command = commandOf(plan, settings.env);
  if (!command) {
    stdout.write(
      `${profileText(profile)} needs no login: its credentials come from ${providerText(plan.base.provider)}.\n`,
    );
    return 0;
  }
  stderr.write(`$ ${shellLine(command)}\n`);
  return runInTerminal(command, context);
}

const isFailure = (plan: CredentialPlan | PlanFailure): plan is PlanFailure => 'what' in plan;

/**
 * Returns the command that renews the credentials of a plan; undefined if no command does. Pure.
 */
export const loginCommand = (plan: CredentialPlan, env: NodeJS.ProcessEnv): string[] | undefined =>
  awsCommand('login', plan, env);

/** Returns the command that ends the login of a plan; undefined if no command does. Pure. */
export const logoutCommand = (plan: CredentialPlan, env: NodeJS.ProcessEnv): string[] | undefined =>
  awsCommand('logout', plan, env);

function awsCommand(
  word: 'login' | 'logout',
  { base }: CredentialPlan,
  env: NodeJS.ProcessEnv,
): string[] | undefined {
  const { provider, profile } = base;
  const words = provider === 'sso' ? ['sso', word] : provider === 'login' ? [word] : undefined;
  if (!words) return undefined;
  // Without the flag, AWS_PROFILE would choose another profile.
  const isDefault = profile === undefined || (profile === 'default' && !env.AWS_PROFILE);
  return ['aws', ...words, ...(isDefault ? [] : ['--profile', profile])];
}

/** Runs an interactive command. @returns its exit code. */
function runInTerminal([file = '', ...words]: readonly string[], context: CommandContext): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(file, words, { stdio: 'inherit', env: context.settings.env });
    context.signal.addEventListener('abort', () => child.kill(), { once: true });
    child.once('error', (error) => {
      const isMissing = 'code' in error && error.code === 'ENOENT';
      printError(
        context.stderr,
        isMissing
          ? 'the AWS CLI is not installed, or not in PATH (https://aws.amazon.com/cli/). Install version 2, then run the command again.'
          : `${file} cannot be started: ${causeText(error)}`,
      );
      resolve(EXIT_NOT_FOUND);
    });
    child.once('close', (code) => resolve(code ?? EXIT_FAILED));
  });
}
