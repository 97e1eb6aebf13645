import { SHELLS } from '../../command-table.ts';
import type { Arguments } from '../../config/argv.ts';
import { didYouMean } from '../../config/spelling.ts';
import type { CommandContext } from '../command.ts';
import { SCRIPTS } from './scripts.ts';

export function problems({ words: [shell] }: Arguments): readonly string[] {
  if (shell === undefined || SHELLS.some((name) => name === shell)) return [];
  return [
    `<shell> must be one of ${SHELLS.join(', ')}, not ${JSON.stringify(shell)}${didYouMean(shell, SHELLS)}`,
  ];
}

/** Prints the script that completes command lines in a shell. */
export async function run({ args, stdout }: CommandContext): Promise<number> {
  const shell = SHELLS.find((name) => name === args.words[0]);
  if (shell) stdout.write(SCRIPTS[shell]);
  return 0;
}
