import { isObject, type JsonObject } from '../core/jsonrpc/message.ts';
import { firstLine, truncate } from '../core/system/plain-text.ts';

const GAP = '  ';
/** A shorter description is useless; the terminal wraps it instead. */
const MIN_DESCRIPTION = 20;

/** The cells of one line. The last one is cut to the width of the terminal. */
type Row = readonly [first: string, second: string, last: string];

/**
 * Formats one line per row, with columns of equal width.
 * @param columns - the width of the terminal; undefined to keep the last column whole.
 */
export function table(rows: readonly Row[], columns: number | undefined): string {
  const widthOf = (at: 0 | 1): number => rows.reduce((width, row) => Math.max(width, row[at].length), 0);
  const [first, second] = [widthOf(0), widthOf(1)];
  const room =
    columns === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(MIN_DESCRIPTION, columns - first - second - 2 * GAP.length);
  return rows
    .map((row) =>
      `${row[0].padEnd(first)}${GAP}${row[1].padEnd(second)}${GAP}${truncate(row[2], room)}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/**
 * Formats one line per tool.
 * @param columns - the width of the terminal; undefined to keep descriptions whole.
 */
export const toolTable = (tools: readonly unknown[], columns: number | undefined): string =>
  table([['NAME', 'HINT', 'DESCRIPTION'], ...tools.map(rowOf)], columns);

function rowOf(tool: unknown): Row {
  if (!isObject(tool)) return ['?', '', 'not an object'];
  const hint = hintOf(isObject(tool.annotations) ? tool.annotations : {});
  return [textOf(tool.name) || '?', hint, descriptionOf(tool)];
}

/** The first line of a server's text; empty if the value is no text. */
export const textOf = (value: unknown): string => (typeof value === 'string' ? firstLine(value) : '');

/** Returns the first line of the description, or the title of a tool without a description. */
export const descriptionOf = ({ description, title }: JsonObject): string =>
  textOf(description) || textOf(title);

/** Shows the server's hints only; the protocol's defaults for missing hints are not shown. */
function hintOf({ readOnlyHint, destructiveHint }: Readonly<Record<string, unknown>>): string {
  if (readOnlyHint === true) return 'read-only';
  if (destructiveHint === true) return 'destructive';
  return destructiveHint === false ? 'not destructive' : '-';
}

/** All hints that the server states, as words. */
export function hintsOf(annotations: Readonly<Record<string, unknown>>): string[] {
  const hint = hintOf(annotations);
  const { idempotentHint, openWorldHint } = annotations;
  return [
    ...(hint === '-' ? [] : [hint]),
    ...(typeof idempotentHint === 'boolean' ? [idempotentHint ? 'idempotent' : 'not idempotent'] : []),
    ...(typeof openWorldHint === 'boolean' ? [openWorldHint ? 'open world' : 'closed world'] : []),
  ];
}
