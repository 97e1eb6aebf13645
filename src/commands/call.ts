import { readFile } from 'node:fs/promises';
import { COMMANDS } from '../command-table.ts';
import type { Arguments } from '../config/argv.ts';
import { readFlags } from '../config/option.ts';
import { didYouMean } from '../config/spelling.ts';
import { causeText } from '../core/errors/errors.ts';
import {
  isObject,
  type JsonObject,
  type Response,
  valueTextAt,
  withoutByteOrderMark,
} from '../core/jsonrpc/message.ts';
import { firstLine } from '../core/system/plain-text.ts';
import { abortable } from '../core/time/waits.ts';
import { isJsonObject, type Pair, pairOf, withPairs } from './call-arguments.ts';
import { type CommandContext, printError } from './command.ts';
import type { CommandClient } from './command-client.ts';
import { EXIT_FAILED, EXIT_USAGE } from './exit-codes.ts';
import { fail, failureOf, wantsJson } from './failure.ts';
import { outputProblems, writeOutput } from './output-file.ts';
import { ProgressLine } from './progress-line.ts';
import { type Binary, binaryOf, contentOf, resultText } from './result-text.ts';
import { propertiesOf } from './schema.ts';
import { isTaskMissing, needsTask, taskOf } from './task.ts';
import { answerOfTask } from './task-answer.ts';
import { failList, listTools, namedEntries } from './tool-list.ts';
import { failUnknownTool, toolHint } from './tools.ts';
import { withServer } from './with-server.ts';

const FROM_STDIN = '-';
const FROM_FILE = '@';
/** Always sent: some servers read `arguments` without checking whether it exists. */
const NO_ARGUMENTS = '{}';
const INVALID_PARAMS = -32602;

const commandOptions = (args: Arguments) => readFlags(COMMANDS.call.options, args.options).values;

/** Does not quote the text, because arguments may contain secrets. */
const notAnObjectText = (name: string): string => `${name} must be a JSON object, such as '{"a":1}'`;

const isElsewhere = (text: string): boolean => text === FROM_STDIN || text.startsWith(FROM_FILE);

export function problems(args: Arguments): readonly string[] {
  const { args: text, output } = commandOptions(args);
  const isUsable = text === undefined || isElsewhere(text) || isJsonObject(text);
  return [
    ...(isUsable ? [] : [`${notAnObjectText('--args')}; @file reads it from a file, - from stdin`]),
    ...outputProblems(output),
  ];
}

/** Calls one tool and prints its result. */
export async function run(context: CommandContext): Promise<number> {
  const { args, stderr } = context;
  const given = await givenArguments(context);
  if (typeof given === 'number') return given;
  const progress = new ProgressLine(stderr);
  const onDeclined = (method: string, message: string): void => {
    progress.clear();
    printError(
      stderr,
      `the server sent ${method}${message === '' ? '' : ` (${firstLine(message)})`}, which needs a person or a model: declined. Call this tool from an MCP client instead.`,
    );
  };
  const [name = '', ...words] = args.words;
  return withServer(
    context,
    async (client) => {
      try {
        const prepared = words.length > 0 ? await prepare(context, client, { name, words, given }) : given;
        if (typeof prepared === 'number') return prepared;
        const { text, tool } = typeof prepared === 'string' ? { text: prepared, tool: undefined } : prepared;
        const answer = await callTool(client, { name, text, tool });
        const task = taskOf(answer);
        const last = task ? await answerOfTask(context, client, task, progress) : answer;
        progress.clear();
        return typeof last === 'number' ? last : await report(context, client, last);
      } finally {
        progress.clear();
      }
    },
    { progress, onProgress: (params) => progress.show(params), onDeclined },
  );
}

/** The text of --args, from the command line, a file or stdin; a number is an exit code. */
async function givenArguments(context: CommandContext): Promise<string | number> {
  const { args, signal, stdin, stderr } = context;
  const given = commandOptions(args).args ?? NO_ARGUMENTS;
  if (!isElsewhere(given)) return given;
  const path = given.slice(FROM_FILE.length);
  const name = given === FROM_STDIN ? 'the text on stdin (--args -)' : `the file ${path} (--args)`;
  const usage = (message: string): number => {
    if (!wantsJson(args)) printError(stderr, message);
    else fail(context, { code: null, reason: 'usage', message });
    return EXIT_USAGE;
  };
  try {
    const read = given === FROM_STDIN ? readText(stdin) : readFile(path, 'utf8');
    const text = withoutByteOrderMark(await abortable(read, signal));
    return isJsonObject(text) ? text : usage(`${notAnObjectText(name)}.`);
  } catch (error) {
    if (signal.aborted) return EXIT_FAILED;
    return usage(`${name} cannot be read: ${causeText(error)}`);
  }
}

async function readText(stdin: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

interface Prepared {
  readonly text: string;
  readonly tool: JsonObject;
}

/** Adds the `name=value` words by the schema of the tool; a number is an exit code. */
async function prepare(
  context: CommandContext,
  client: CommandClient,
  {
    name,
    words,
    given,
  }: { readonly name: string; readonly words: readonly string[]; readonly given: string },
): Promise<Prepared | number> {
  const list = await listTools(client);
  if (list.kind !== 'tools') return failList(context, list);
  const tools = namedEntries(list.texts);
  const tool = tools.get(name)?.json;
  if (!tool) return failUnknownTool(context, name, [...tools.keys()]);
  const pairs = words.map(pairOf);
  noteUnlisted(context, pairs, tool.inputSchema);
  const outcome = withPairs(given, pairs, tool.inputSchema);
  if ('text' in outcome) return { text: outcome.text, tool };
  const message = `${outcome.problems.join('; ')}. Run "mcp-sigv4-proxy tools ${name}" for the arguments.`;
  fail(context, { code: null, reason: 'usage', message });
  return EXIT_USAGE;
}

/** Servers may accept more arguments than they list, or ignore a misspelled one. */
function noteUnlisted({ stderr }: CommandContext, pairs: readonly Pair[], schema: unknown): void {
  const listed = propertiesOf(schema, schema).map(({ name }) => name);
  const unlisted = new Set(pairs.map(({ name }) => name).filter((name) => !listed.includes(name)));
  for (const name of listed.length === 0 ? [] : unlisted)
    stderr.note(
      `mcp-sigv4-proxy: the tool lists no argument "${firstLine(name)}"${didYouMean(name, listed) || '.'} It is sent all the same.\n`,
    );
}

/** Calls a tool, as a task where the tool requires one. */
async function callTool(
  client: CommandClient,
  {
    name,
    text,
    tool,
  }: { readonly name: string; readonly text: string; readonly tool: JsonObject | undefined },
): Promise<Response> {
  if (needsTask(tool)) return client.callTool(name, text, { asTask: true });
  const answer = await client.callTool(name, text);
  if (!isTaskMissing(answer) || tool) return answer;
  const list = await listTools(client);
  const listed = list.kind === 'tools' ? namedEntries(list.texts).get(name)?.json : undefined;
  return needsTask(listed) ? client.callTool(name, text, { asTask: true }) : answer;
}

async function report(context: CommandContext, client: CommandClient, answer: Response): Promise<number> {
  const { args, stdout } = context;
  if (answer.outcome === 'error') {
    const failure = failureOf(answer);
    // Servers use this code for an unknown tool and for wrong arguments.
    const isInvalid = failure.code === INVALID_PARAMS && failure.reason === 'server-error';
    const hint = isInvalid ? await hintFor(client, args.words[0] ?? '') : '';
    return fail(context, { ...failure, message: `${failure.message}${hint}` });
  }
  const result = isObject(answer.json.result) ? answer.json.result : {};
  const { json, output } = commandOptions(args);
  // In the stateless era a server requests input by its result, and expects a second call.
  const needsInput = result.resultType === 'input_required';
  if (needsInput || result.isError === true) {
    fail(context, {
      code: null,
      reason: needsInput ? 'input-required' : 'tool-error',
      message: needsInput
        ? 'the tool requires more input, which this command cannot provide. Call it from an MCP client instead.'
        : `the tool reports an error: ${resultText(answer).trimEnd()}`,
    });
    if (json) stdout.json(`${valueTextAt(answer.text, ['result']) ?? ''}\n`);
    return EXIT_FAILED;
  }
  if (json) stdout.json(`${valueTextAt(answer.text, ['result']) ?? ''}\n`);
  if (output === undefined) {
    if (!json) stdout.write(resultText(answer));
    return 0;
  }
  const binaries = contentOf(answer).flatMap((block): readonly Binary[] | Binary => binaryOf(block) ?? []);
  const text = resultText(answer, (block) => binaryOf(block) !== undefined);
  return writeOutput(context, output, { binaries, text: json && binaries.length > 0 ? '' : text });
}

/** The next step after the server refused the tool or its arguments. */
async function hintFor(client: CommandClient, name: string): Promise<string> {
  const list = await listTools(client);
  if (list.kind !== 'tools') return '';
  const known = [...namedEntries(list.texts).keys()];
  return known.includes(name)
    ? `. Run "mcp-sigv4-proxy tools ${name}" for the arguments.`
    : `. ${toolHint(name, known)}`;
}
