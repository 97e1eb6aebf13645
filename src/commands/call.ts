import { COMMANDS } from '../command-table.ts';
import type { Arguments } from '../config/argv.ts';
import { readFlags } from '../config/option.ts';
import { isObject, type Response, valueTextAt } from '../core/jsonrpc/message.ts';
import { firstLine } from '../core/system/plain-text.ts';
import { abortable } from '../core/time/clock.ts';
import { type CommandContext, complain, EXIT_USAGE } from './command.ts';
import { CommandClient } from './command-client.ts';
import { ProgressLine } from './progress-line.ts';
import { errorTextOf } from './server-answer.ts';

const FROM_STDIN = '-';
/**
 * A tool without arguments is called with none, not without the field: some servers read it
 * unasked.
 */
const NO_ARGUMENTS = '{}';
const EXIT_FAILED = 1;
const INVALID_PARAMS = -32602;

const ownOptions = (args: Arguments) => readFlags(COMMANDS.call.options, args.options).values;

/** Never the text itself: arguments may hold what nobody else should see. */
const notAnObject = (what: string): string => `${what} must be a JSON object, such as '{"a":1}'`;

function isJsonObject(text: string): boolean {
  try {
    return isObject(JSON.parse(text));
  } catch {
    return false;
  }
}

export function problems(args: Arguments): readonly string[] {
  const given = ownOptions(args).args;
  if (given === undefined || given === FROM_STDIN || isJsonObject(given)) return [];
  return [`${notAnObject('--args')}; - reads it from stdin`];
}

/** Calls one tool and prints what it answers. */
export async function run(context: CommandContext): Promise<number> {
  const { args, settings, stderr, signal, stdin } = context;
  const given = ownOptions(args).args ?? NO_ARGUMENTS;
  let argumentsText = given;
  if (given === FROM_STDIN) {
    const text = await readAll(stdin, signal);
    if (text === undefined) return EXIT_FAILED;
    if (!isJsonObject(text)) {
      complain(stderr, `${notAnObject('what --args - reads from stdin')}.`);
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
      complain(
        stderr,
        `the server asked for ${method}${message === '' ? '' : ` (${firstLine(message)})`}, which nobody can answer here: declined. A tool that needs it works in an MCP client.`,
      );
    },
  });
  try {
    const opened = await client.open();
    if (opened.outcome === 'error') {
      complain(stderr, errorTextOf(opened));
      return EXIT_FAILED;
    }
    const answer = await client.callTool(args.words[0] ?? '', argumentsText);
    progress.clear();
    return show(answer, context);
  } catch (error) {
    if (signal.aborted) return EXIT_FAILED;
    throw error;
  } finally {
    progress.clear();
    await client.close();
  }
}

/** @returns undefined where it was interrupted. */
async function readAll(stdin: NodeJS.ReadableStream, signal: AbortSignal): Promise<string | undefined> {
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

function show(answer: Response, { args, stdout, stderr }: CommandContext): number {
  if (answer.outcome === 'error') {
    const { error } = answer.json;
    // No such tool, or arguments that it does not take: servers tell both by this number.
    const unfit = isObject(error) && error.code === INVALID_PARAMS;
    const hint = unfit ? '. "mcp-sigv4-proxy tools --json" shows the tools, and what each takes' : '';
    complain(stderr, `${errorTextOf(answer)}${hint}`);
    return EXIT_FAILED;
  }
  const result = isObject(answer.json.result) ? answer.json.result : {};
  const asks = result.resultType === 'input_required';
  const failed = result.isError === true || asks;
  // In the revision without sessions a server asks by its answer, and would be called again with
  // what it wants to know.
  if (asks)
    complain(stderr, 'the tool asks for input, which nobody can give here. It works in an MCP client.');
  else if (failed) complain(stderr, `the tool reports an error: ${resultText(answer).trimEnd()}`);
  if (ownOptions(args).json) stdout.json(`${valueTextAt(answer.text, ['result']) ?? ''}\n`);
  else if (!failed) stdout.write(resultText(answer));
  return failed ? EXIT_FAILED : 0;
}

/** The content as text; where there is none, the structured content as the server wrote it. */
function resultText(answer: Response): string {
  const { content, structuredContent } = isObject(answer.json.result) ? answer.json.result : {};
  if (Array.isArray(content) && content.length > 0) return content.map(blockText).join('');
  const structured = valueTextAt(answer.text, ['result', 'structuredContent']);
  return structuredContent === undefined || structured === undefined ? '' : `${structured}\n`;
}

const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

function blockText(block: unknown): string {
  if (!isObject(block)) return '';
  const { type, text, uri, mimeType, data, resource } = block;
  if (type === 'text' && typeof text === 'string') return ended(text);
  if (type === 'resource' && isObject(resource) && typeof resource.text === 'string')
    return ended(resource.text);
  if (type === 'resource_link' && typeof uri === 'string') return `${uri}\n`;
  const facts = [
    typeof mimeType === 'string' ? mimeType : '',
    typeof data === 'string' ? `${data.length} characters of base64` : '',
    isObject(resource) && typeof resource.uri === 'string' ? resource.uri : '',
  ].filter(Boolean);
  return `[${[String(type), ...facts].join(', ')}: --json prints it]\n`;
}
