import { describe, expect, it } from 'vitest';
import { COMMANDS, type CommandName } from '../src/command-table.ts';
import { flagOf, OPTION_GROUPS, type OptionTable } from '../src/config/option.ts';
import { helpText } from '../src/program.ts';
import { OPTIONS, parseArguments } from '../src/settings.ts';

const keys = Object.keys(OPTIONS);

/** The flags that a help text explains, in order. */
const flagsIn = (text: string): string[] =>
  text.split('\n').flatMap((line) => /^ {2}(?:-\w, )?(--[\w-]+)/.exec(line)?.[1] ?? []);
/** A help text without its line breaks. */
const flowing = (text: string): string => text.replace(/\s+/g, ' ');

describe('--help-all', () => {
  it('--help-all explains every option once, in the order of the groups', () => {
    const inOrder = OPTION_GROUPS.flatMap((group) =>
      keys.filter((key) => (OPTIONS as OptionTable)[key]?.group === group),
    );
    const own = flagsIn(helpText()).filter((flag) => !['--help', '--help-all', '--version'].includes(flag));
    expect(own).toEqual(inOrder.map(flagOf));
  });

  it('--help-all has a heading for each group of options', () => {
    const used = OPTION_GROUPS.filter((group) =>
      Object.values(OPTIONS).some((option) => option.group === group),
    );
    const headings = helpText()
      .split('\n')
      .filter((line) => used.some((group) => line === `${group}:`));
    expect(headings).toEqual(used.map((group) => `${group}:`));
  });

  it('--help-all states the bounds and the default of an option', () => {
    const text = flowing(helpText());
    expect(text).toContain(
      '--max-connections <n> maximum number of connections for requests; further requests wait in order (an integer >= 1; default: 5)',
    );
    expect(text).toContain('(an integer >= 0; default: 1, or the value of --max-connections if given)');
    expect(text).toContain('(one of adaptive, standard; default: adaptive)');
    expect(text).toMatch(/--skip-auth [^()]*\(default: off\)/);
    expect(text).toContain('--user-agent <suffix> text added to the User-Agent header --');
  });
});

describe('-h', () => {
  it('-h explains the common options, and names --help-all for the others', () => {
    const text = helpText(undefined, { all: false });
    expect(flagsIn(text)).toEqual([
      ...keys.filter((key) => (OPTIONS as OptionTable)[key]?.common).map(flagOf),
      '--help-all',
      '--version',
      '--help',
    ]);
    expect(flagsIn(text)).toHaveLength(13 + 3);
    expect(text).toContain('mcp-sigv4-proxy --help-all shows all options.');
  });
});

describe.each([
  ['-h', false],
  ['--help-all', true],
])('the help of %s', (_flag, all) => {
  it('the help ends with examples', () => {
    const [, examples = ''] = helpText(undefined, { all }).split('\nExamples:\n');
    expect(examples.split('\n').length).toBe(3);
    for (const line of examples.split('\n')) expect(line).toMatch(/^ {2}mcp-sigv4-proxy /);
  });

  it.each([40, 60, 80, 100, 200])('the help fits a terminal of %i columns', (columns) => {
    const unbreakable = /^ *(?:mcp-sigv4-proxy |Usage: |--|\S+$)/;
    const wide = helpText(undefined, { all, columns })
      .split('\n')
      .filter((line) => line.length > columns && !unbreakable.test(line));
    expect(wide).toEqual([]);
  });
});

describe('help for a command', () => {
  const names = Object.keys(COMMANDS) as CommandName[];

  it.each(names)('the help of a command explains what %s takes and does', (name) => {
    const lines = helpText(name).split('\n');
    expect(lines[0]).toMatch(new RegExp(`^Usage: mcp-sigv4-proxy ${name}`));
    expect(lines.at(-1)).toBe(`  ${COMMANDS[name].example}`);
    for (const key of Object.keys(COMMANDS[name].options)) {
      expect(flagsIn(helpText(name, { all: false }))).toContain(flagOf(key));
    }
  });

  it.each(names.filter((name) => COMMANDS[name].connects))(
    'the help of a command with --help-all shows all options of %s',
    (name) => {
      const flags = flagsIn(helpText(name));
      expect(flags).toEqual(expect.arrayContaining(keys.map(flagOf)));
      expect(new Set(flags).size).toBe(flags.length);
    },
  );

  it.each(names)('the help of a command shows a valid example for %s', (name) => {
    const argv = COMMANDS[name].example.match(/'[^']*'|\S+/g)?.map((word) => word.replaceAll("'", '')) ?? [];
    expect(parseArguments(argv.slice(1), COMMANDS)).toMatchObject({ command: name, problems: [] });
  });

  it('the general help has a line for each command', () => {
    for (const name of names) {
      expect(helpText(undefined, { all: false })).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
      expect(flowing(helpText(undefined, { all: false }))).toContain(COMMANDS[name].help);
    }
  });
});
