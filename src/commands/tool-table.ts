import { isObject } from '../core/jsonrpc/message.ts';
import { cutTo, firstLine } from '../core/system/plain-text.ts';

const GAP = '  ';
/** A description that is cut to less says nothing; the terminal may wrap it. */
const MIN_DESCRIPTION = 20;

interface Row {
  readonly name: string;
  readonly hint: string;
  readonly description: string;
}

const HEAD: Row = { name: 'NAME', hint: 'HINT', description: 'DESCRIPTION' };

/**
 * One line per tool, for a person.
 * @param columns - undefined where nothing is to be cut.
 */
export function toolTable(tools: readonly unknown[], columns: number | undefined): string {
  const rows = [HEAD, ...tools.map(rowOf)];
  const nameWidth = Math.max(...rows.map(({ name }) => name.length));
  const hintWidth = Math.max(...rows.map(({ hint }) => hint.length));
  const room =
    columns === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(MIN_DESCRIPTION, columns - nameWidth - hintWidth - 2 * GAP.length);
  return rows
    .map(({ name, hint, description }) =>
      `${name.padEnd(nameWidth)}${GAP}${hint.padEnd(hintWidth)}${GAP}${cutTo(description, room)}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function rowOf(tool: unknown): Row {
  if (!isObject(tool)) return { name: '?', hint: '', description: 'not an object' };
  const { name, title, description } = tool;
  const said = [description, title].find((text) => typeof text === 'string' && firstLine(text) !== '');
  return {
    name: typeof name === 'string' ? firstLine(name) : '?',
    hint: hintOf(isObject(tool.annotations) ? tool.annotations : {}),
    description: typeof said === 'string' ? firstLine(said) : '',
  };
}

/** What the server says, not what the protocol assumes where it says nothing. */
function hintOf({ readOnlyHint, destructiveHint }: Readonly<Record<string, unknown>>): string {
  if (readOnlyHint === true) return 'read-only';
  if (destructiveHint === true) return 'destructive';
  return destructiveHint === false ? 'not destructive' : '-';
}
