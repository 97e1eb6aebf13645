import { readProfileFacts } from '../auth/credentials/shared-files.ts';
import { maySignWithAws } from '../auth/kinds.ts';
import { CLIENTS, type ClientName, COMMANDS } from '../command-table.ts';
import type { Arguments } from '../config/argv.ts';
import { readFlags } from '../config/option.ts';
import { similarNames } from '../config/spelling.ts';
import { readSettings } from '../settings.ts';
import { type CommandContext, printError } from './command.ts';
import { applyBlock } from './config/apply.ts';
import { CLIENT_FORMATS } from './config/clients.ts';
import { blockHere, clientOf, clientProblem, mismatchOf } from './config/config.ts';
import { thisMachine } from './config/machine.ts';
import { run as runDoctor } from './doctor/doctor.ts';
import { EXIT_FAILED, EXIT_USAGE } from './exit-codes.ts';
import { Questions } from './questions.ts';

export function problems(args: Arguments): readonly string[] {
  const [client] = args.words;
  if (client !== undefined) return clientOf(client) ? [] : [clientProblem(client)];
  const { yes } = readFlags(COMMANDS.init.options, args.options).values;
  return yes ? ['--yes needs the client: mcp-sigv4-proxy init <client> --yes'] : [];
}

/** Sets up a client: asks, checks with doctor, shows the change, and writes the client's file. */
export async function run(context: CommandContext): Promise<number> {
  const { args, stdin, stdout, stderr, signal, settings: first } = context;
  const { yes, name, file } = readFlags(COMMANDS.init.options, args.options).values;
  if (!yes && !stdout.isTerminal) {
    printError(
      stderr,
      'init asks questions on a terminal: pass --yes with all options to run it without one.',
    );
    return EXIT_USAGE;
  }
  const questions = yes ? undefined : new Questions({ stdin, output: stdout, signal });
  try {
    const asked = await questionsFor(context, questions);
    const outcome = await readSettings(asked.args, first.env);
    const found =
      'problems' in outcome ? outcome.problems : (mismatchOf(asked.client, outcome.settings) ?? []);
    const wrong = typeof found === 'string' ? [found] : found;
    if ('problems' in outcome || wrong.length > 0) {
      for (const problem of wrong) printError(stderr, problem);
      return EXIT_USAGE;
    }
    const { settings } = outcome;
    stdout.write('\n');
    const inner = { ...context, args: asked.args, settings };
    const verdict = await runDoctor(inner);
    if (signal.aborted) return EXIT_FAILED;
    const proceeds =
      verdict === 0 || (await questions?.confirm('A check failed. Write the file all the same?', false));
    if (!proceeds) {
      printError(stderr, 'nothing was written, because a check failed.');
      return EXIT_FAILED;
    }
    const { client } = asked;
    const block = await blockHere(client, { args: asked.args, settings, name });
    const confirm = async (): Promise<boolean> => (await questions?.confirm('Write this?', true)) ?? true;
    return await applyBlock(inner, { client, block, file, confirm });
  } catch (error) {
    if (signal.aborted) return EXIT_FAILED;
    throw error;
  } finally {
    questions?.close();
  }
}

interface Asked {
  readonly args: Arguments;
  readonly client: ClientName;
}

/** Asks for what the command line does not give. */
async function questionsFor(
  { args, settings }: CommandContext,
  questions: Questions | undefined,
): Promise<Asked> {
  const given = clientOf(args.words[0]);
  if (!questions) {
    if (!given) throw new TypeError('--yes without a client');
    return { args, client: given };
  }
  let asked = args;
  if (args.endpoint === undefined && settings.from.endpoint === undefined) {
    const endpoint = await questions.ask('Endpoint (URL or ARN)', settings.endpoint.href);
    if (endpoint !== settings.endpoint.href) asked = { ...asked, endpoint };
  }
  if (settings.profiles.length === 0 && maySignWithAws(settings.auth)) {
    const { known } = await readProfileFacts(undefined, settings.env);
    if (known.length > 0) questions.show(`Profiles: ${known.join(', ')}`);
    const fallback = known.includes('default') || known.length === 0 ? '' : (known[0] ?? '');
    const profile = await questions.ask('AWS profile (empty: the default chain)', fallback);
    if (profile !== '') asked = { ...asked, options: { ...asked.options, profile: [profile] } };
  }
  return { args: asked, client: given ?? (await askClient(questions, settings.env)) };
}

async function askClient(questions: Questions, env: NodeJS.ProcessEnv): Promise<ClientName> {
  const machine = thisMachine(env);
  const present = CLIENTS.filter((client) => {
    const path = CLIENT_FORMATS[client].file?.(machine);
    return path !== undefined && machine.exists(path);
  });
  questions.show(`Clients: ${CLIENTS.join(', ')}`);
  for (;;) {
    const answer = await questions.ask('Client', present[0] ?? CLIENTS[0]);
    const client = clientOf(answer) ?? similarNames(answer, CLIENTS).map(clientOf)[0];
    if (client && clientOf(answer)) return client;
    if (client && (await questions.confirm(`Do you mean ${client}?`, true))) return client;
    questions.show(clientProblem(answer));
  }
}
