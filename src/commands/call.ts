import { COMMANDS } from '../command-table.ts';
import type { Arguments } from '../config/argv.ts';
import { readFlags } from '../config/option.ts';
import { isObject, type Response, valueTextAt } from '../core/jsonrpc/message.ts';
import { firstLine } from '../core/system/plain-text.ts';
import { abortable } from '../core/time/waits.ts';
import { type CommandContext, EXIT_USAGE, printError } from './command.ts';
import { CommandClient } from './command-client.ts';
import { ProgressLine } from './progress-line.ts';
import { errorTextOf } from './server-answer.ts';

const FROM_STDIN = '-';
/** Always sent: some servers read `arguments` without checking whether it exists. */
const NO_ARGUMENTS = '{}';
const EXIT_FAILED = 1;
const INVALID_PARAMS = -32602;

const commandOptions = (args: Arguments) => readFlags(COMMANDS.call.options, args.options).values;

/** Does not quote the text, because arguments may contain secrets. */
const notAnObjectText = (name: string): string => `${name} must be a JSON object, such as '{"a":1}'`;

function isJsonObject(text: string): boolean {
  try {
    return isObject(JSON.parse(text));
  } catch {
    return false;
  }
}

export function problems(args: Arguments): readonly string[] {
  const text = commandOptions(args).args;
  if (text === undefined || text === FROM_STDIN || isJsonObject(text)) return [];
  return [`${notAnObjectText('--args')}; - reads it from stdin`];
}

/** Calls one tool and prints its result. */
export async function run(context: CommandContext): Promise<number> {
  const { args, settings, stderr, signal, stdin } = context;
  const given = commandOptions(args).args ?? NO_ARGUMENTS;
  let argumentsText = given;
  if (given === FROM_STDIN) {
    const text = await readText(stdin, signal);
    if (text === undefined) return EXIT_FAILED;
    if (!isJsonObject(text)) {
      printError(stderr, `${notAnObjectText('the text on stdin (--args -)')}.`);
      return EXIT_USAGE;
    }
    argumentsText = text;
  }
  const progress = new ProgressLine(stderr);
  const client = new CommandClient({
    settings,
    signal,
    onProgress: (params) => progress.show(params),
    onDeclined: (method, message) => {
      progress.clear();
      printError(
        stderr,
        `the server sent ${method}${message === '' ? '' : ` (${firstLine(message)})`}, which needs a person or a model: declined. Call this tool from an MCP client instead.`,
      );
    },
  });
  try {
    const opened = await client.open();
    if (opened.outcome === 'error') {
      printError(stderr, errorTextOf(opened));
      return EXIT_FAILED;
    }
    const answer = await client.callTool(args.words[0] ?? '', argumentsText);
    progress.clear();
    return printResult(answer, context);
  } catch (error) {
    if (signal.aborted) return EXIT_FAILED;
    throw error;
  } finally {
    progress.clear();
    await client.close();
  }
}

/** @returns undefined if the signal aborts. */
async function readText(stdin: NodeJS.ReadableStream, signal: AbortSignal): Promise<string | undefined> {
  const read = async (): Promise<string> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stdin) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks)
      .toString('utf8')
      .replace(/^\uFEFF/, '');
  };
  return abortable(read(), signal).catch((error: unknown) => {
    if (signal.aborted) return undefined;
    throw error;
  });
}

function printResult(answer: Response, { args, stdout, stderr }: CommandContext): number {
  if (answer.outcome === 'error') {
    const { error } = answer.json;
    // Servers use this code for an unknown tool and for wrong arguments.
    const isInvalidParams = isObject(error) && error.code === INVALID_PARAMS;
    const hint = isInvalidParams
      ? '. Run "mcp-sigv4-proxy tools --json" for the tools and their arguments.'
      : '';
    printError(stderr, `${errorTextOf(answer)}${hint}`);
    return EXIT_FAILED;
  }
  const result = isObject(answer.json.result) ? answer.json.result : {};
  const needsInput = result.resultType === 'input_required';
  const failed = result.isError === true || needsInput;
  // In the stateless era a server requests input by its result, and expects a second call.
  if (needsInput)
    printError(
      stderr,
      'the tool requires more input, which this command cannot provide. Call it from an MCP client instead.',
    );
  else if (failed) printError(stderr, `the tool reports an error: ${resultText(answer).trimEnd()}`);
  if (commandOptions(args).json) stdout.json(`${valueTextAt(answer.text, ['result']) ?? ''}\n`);
  else if (!failed) stdout.write(resultText(answer));
  return failed ? EXIT_FAILED : 0;
}

/** The content as text; without content, the structured content as the server sent it. */
function resultText(answer: Response): string {
  const { content, structuredContent } = isObject(answer.json.result) ? answer.json.result : {};
  if (Array.isArray(content) && content.length > 0) return content.map(contentText).join('');
  const structured = valueTextAt(answer.text, ['result', 'structuredContent']);
  return structuredContent === undefined || structured === undefined ? '' : `${structured}\n`;
}

const endWithNewline = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

function contentText(block: unknown): string {
  if (!isObject(block)) return '';
  const { type, text, uri, mimeType, data, resource } = block;
  if (type === 'text' && typeof text === 'string') return endWithNewline(text);
  if (type === 'resource' && isObject(resource) && typeof resource.text === 'string')
    return endWithNewline(resource.text);
  if (type === 'resource_link' && typeof uri === 'string') return `${uri}\n`;
  const facts = [
    typeof mimeType === 'string' ? mimeType : '',
    typeof data === 'string' ? `${data.length} characters of base64` : '',
    isObject(resource) && typeof resource.uri === 'string' ? resource.uri : '',
  ].filter(Boolean);
  return `[${[String(type), ...facts].join(', ')}: --json prints it]\n`;
}
