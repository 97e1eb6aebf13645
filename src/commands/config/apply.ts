import type { ClientName } from '../../command-table.ts';
import { causeText } from '../../core/errors/errors.ts';
import { systemClock } from '../../core/time/clock.ts';
import { type CommandContext, printError } from '../command.ts';
import { EXIT_FAILED } from '../exit-codes.ts';
import type { ConfigBlock } from './block.ts';
import { CLIENT_FORMATS } from './clients.ts';
import { editFile } from './edit-file.ts';
import { thisMachine } from './machine.ts';
import { changedLines, readIfPresent, replaceFile } from './write-file.ts';

export interface Application {
  readonly client: ClientName;
  readonly block: ConfigBlock;
  /** The file to write; undefined for the file of the client. */
  readonly file: string | undefined;
  /** Asks the user before the file is written. */
  readonly confirm: () => Promise<boolean>;
}

/** Shows the change of the client's file, and writes it. @returns the exit code. */
export async function applyBlock(
  { settings, stdout, stderr }: CommandContext,
  { client, block, file, confirm }: Application,
): Promise<number> {
  const { title, where, syntax, file: ownFile } = CLIENT_FORMATS[client];
  const path = file ?? ownFile?.(thisMachine(settings.env));
  const failed = (message: string): number => {
    printError(stderr, message);
    return EXIT_FAILED;
  };
  if (path === undefined)
    return failed(`${title} documents no file. Paste the block of "config ${client}" here: ${where}.`);
  try {
    const before = await readIfPresent(path);
    const edited = await editFile(before, syntax, block.edits);
    if ('problem' in edited) return failed(`${path} ${edited.problem}. Nothing was changed.`);
    const change = changedLines(before, edited.text);
    if (change === '') {
      stdout.write(`${path} is up to date.\n`);
      return 0;
    }
    stdout.write(`${path}:\n${change}`);
    if (!(await confirm())) return failed('nothing was changed.');
    const backup = await replaceFile(path, edited.text, new Date(systemClock.now()));
    stdout.write(`Wrote ${path}${backup === undefined ? '' : `; the old file is ${backup}`}.\n`);
  } catch (error) {
    return failed(`${path} cannot be changed: ${causeText(error)}`);
  }
  const [, ...notes] = block.notes.filter((note) => !note.startsWith('Or run: '));
  stderr.note(notes.map((note) => `${note}\n`).join(''));
  return 0;
}
