import { COMMANDS } from '../command-table.ts';
import type { Arguments } from '../config/argv.ts';
import { readFlags } from '../config/option.ts';
import { isObject, valueTextAt } from '../core/jsonrpc/message.ts';
import type { CommandContext } from './command.ts';
import { fail, failUnusable, failureOf, wantsJson } from './failure.ts';
import { outputProblems, writeOutput } from './output-file.ts';
import { type Binary, binaryOf, resourceText } from './result-text.ts';
import { withServer } from './with-server.ts';

export const problems = (args: Arguments): readonly string[] =>
  outputProblems(readFlags(COMMANDS.read.options, args.options).values.output);

/** Reads one resource and prints its text. */
export function run(context: CommandContext): Promise<number> {
  const { args, stdout } = context;
  const { output } = readFlags(COMMANDS.read.options, args.options).values;
  return withServer(context, async (client) => {
    const answer = await client.request('resources/read', { uri: args.words[0] });
    if (answer.outcome === 'error') return fail(context, failureOf(answer));
    const { result } = answer.json;
    if (!isObject(result) || !Array.isArray(result.contents))
      return failUnusable(context, 'the result of resources/read has no contents');
    const json = wantsJson(args);
    if (json) stdout.json(`${valueTextAt(answer.text, ['result']) ?? ''}\n`);
    const contents = result.contents.filter(isObject);
    if (output === undefined) {
      if (!json) stdout.write(contents.map(resourceText).join(''));
      return 0;
    }
    const binaries = contents.flatMap((each): readonly Binary[] | Binary => binaryOf(each) ?? []);
    const texts = contents.filter((each) => binaryOf(each) === undefined);
    const text = json && binaries.length > 0 ? '' : texts.map(resourceText).join('');
    return writeOutput(context, output, { binaries, text });
  });
}
