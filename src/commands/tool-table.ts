import { isObject } from '../core/jsonrpc/message.ts';
import { cutTo, firstLine } from '../core/system/plain-text.ts';

const GAP = '  ';
/** A shorter description is useless; the terminal wraps it instead. */
const MIN_DESCRIPTION = 20;

interface Row {
  readonly name: string;
  readonly hint: string;
  readonly description: string;
}

const HEAD: Row = { name: 'NAME', hint: 'HINT', description: 'DESCRIPTION' };

/**
 * Formats one line per tool.
 * @param columns - the width of the terminal; undefined to keep descriptions whole.
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
  const text = [description, title].find((each) => typeof each === 'string' && firstLine(each) !== '');
  return {
    name: typeof name === 'string' ? firstLine(name) : '?',
    hint: hintOf(isObject(tool.annotations) ? tool.annotations : {}),
    description: typeof text === 'string' ? firstLine(text) : '',
  };
}

/** Shows the server's hints only; the protocol's defaults for missing hints are not shown. */
function hintOf({ readOnlyHint, destructiveHint }: Readonly<Record<string, unknown>>): string {
  if (readOnlyHint === true) return 'read-only';
  if (destructiveHint === true) return 'destructive';
  return destructiveHint === false ? 'not destructive' : '-';
}
