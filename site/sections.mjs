// Turns the wide tables of the references into sections: a search finds each one, and they fit a
// phone.

/** The cells of a table's row. A bar in a cell is written `\|`. */
const cellsOf = (row) =>
  row
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));

/** Replaces the table under a heading row by what `section` returns for each further row. */
function replaceTable(page, head, section) {
  const start = page.indexOf(`${head}\n|---`);
  if (start < 0) throw new Error(`no table with the head ${head}`);
  const end = page.indexOf('\n\n', start);
  const [, , ...rows] = page.slice(start, end).split('\n');
  const sections = rows.filter((row) => row.startsWith('|')).map((row) => section(cellsOf(row)));
  const rest = rows.filter((row) => !row.startsWith('|'));
  return `${page.slice(0, start)}${[...sections, ...rest].join('\n\n')}${page.slice(end)}`;
}

const ERRORS = '| reason | code | status | what happened | what to do |';

/** docs/errors.md, with a section for each reason. */
export const errorPage = (page) =>
  replaceTable(page, ERRORS, ([reason, code, status, happened, remedy]) =>
    [
      `## ${reason} {#${reason.replaceAll('`', '')}}`,
      `${capital(happened)}.`,
      `**Remedy:** ${remedy}.`,
      `Code \`${code}\`; HTTP status of the listener: ${status}.`,
    ].join('\n\n'),
  );

const OPTIONS = '| option | default | takes | what it does |';

/** docs/options.md, with a section for each option. */
export const optionPage = (page) =>
  replaceTable(page, OPTIONS, ([usage, byDefault, takes, help]) => {
    if (usage.startsWith('**')) return `## ${usage.replaceAll('**', '')}`;
    const [, flag = 'endpoint'] = usage.match(/^`-*([\w-]+)/) ?? [];
    return [
      `### ${usage} {#${flag}}`,
      `${capital(help)}.`,
      `Takes: ${takes}.${byDefault === '' ? '' : ` Default: ${byDefault}.`}`,
    ].join('\n\n');
  });

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
