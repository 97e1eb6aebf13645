import type { Verdict } from './compare.ts';
import { EXCEPTIONS } from './exceptions.ts';
import type { Revision } from './suite.ts';
import { WAYS, type Way } from './ways.ts';

/** One scenario of the suite, and how it went. */
export interface Row {
  readonly side: 'A server' | "The SDK's client v1" | "The SDK's client v2";
  readonly revision: Revision;
  readonly scenario: string;
  /** The checks that pass without the proxy. */
  readonly direct: readonly string[];
  readonly through: Partial<Record<Way, Verdict>>;
}

const TITLES: Readonly<Record<Way, string>> = { stdio: 'on stdio', listener: 'through the listener' };

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

const grid = (head: readonly string[], body: readonly (readonly string[])[]): string =>
  [line(head), `|${'---|'.repeat(head.length)}`, ...body.map(line)].join('\n');

const titleOf = ({ side, revision }: Row): string => `${side}, revision ${revision}`;

const kept = ({ direct, through }: Row, way: Way): number =>
  direct.length - (through[way]?.lost ?? direct).length;

const sum = (rows: readonly Row[], count: (row: Row) => number): string =>
  String(rows.reduce((total, row) => total + count(row), 0));

/** One table: a scenario a line, all of them in the last. */
function section(title: string, rows: readonly Row[]): string {
  const body = rows
    .toSorted((a, b) => (a.scenario < b.scenario ? -1 : 1))
    .map((row) => [row.scenario, String(row.direct.length), ...WAYS.map((way) => String(kept(row, way)))]);
  const total = ['**all**', sum(rows, ({ direct }) => direct.length)];
  const totals = [...total, ...WAYS.map((way) => sum(rows, (row) => kept(row, way)))];
  const head = ['scenario', 'direct', ...WAYS.map((way) => TITLES[way])];
  return `## ${title}\n\n${grid(head, [...body, totals])}\n`;
}

const exceptions = (): string =>
  grid(
    ['', 'revision', 'scenario', 'checks', 'why'],
    EXCEPTIONS.map(({ way, revision, scenario, checks, reason }) => [
      TITLES[way],
      revision,
      scenario,
      Object.keys(checks).join(', '),
      reason,
    ]),
  );

/** The whole of docs/conformance.md. */
export function document(rows: readonly Row[], version: string): string {
  const titles = [...new Set(rows.map(titleOf))].sort();
  const sections = titles.map((title) =>
    section(
      title,
      rows.filter((row) => titleOf(row) === title),
    ),
  );
  return `# Conformance

This page shows what the conformance suite of the MCP project, \`@modelcontextprotocol/conformance\` ${version}, reports for a server
and for clients, without the proxy and through the proxy. \`npm run conformance\` writes this page and fails if a check that passes directly
does not pass through the proxy. The numbers count passed checks.

The server uses the SDK (v2) and supports both eras. A gate in front of it refuses unsigned requests. The suite speaks HTTP only; for
stdio, a bridge starts the command and writes each request to its stdin as one line. The clients are those of the SDK, and they start the
command themselves.

${sections.join('\n')}
## Checks that pass only directly

${exceptions()}

## Scenarios that are not compared

- The \`auth/\` scenarios test the OAuth of a client. The proxy signs instead.
- The \`tasks-\` scenarios test an extension that the SDK's server lacks in revision 2026-07-28.
`;
}
