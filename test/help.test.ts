import { describe, expect, it } from 'vitest';
import { COMMANDS, type CommandName } from '../src/command-table.ts';
import { flagOf, OPTION_GROUPS, variableOf } from '../src/config/option.ts';
import { envExample, helpText, optionsMarkdown } from '../src/help.ts';
import { OPTIONS, parseArguments } from '../src/settings.ts';

const keys = Object.keys(OPTIONS);

describe('--help', () => {
  it('shows every option once, under its group', () => {
    const lines = helpText().split('\n');
    for (const key of keys) {
      expect(lines.filter((line) => line.trimStart().split(' ')[0] === flagOf(key))).toHaveLength(1);
    }
  });

  it('has each group that has options once, in order', () => {
    const used = OPTION_GROUPS.filter((group) =>
      Object.values(OPTIONS).some((option) => option.group === group),
    );
    const shown = helpText()
      .split('\n')
      .filter((line) => used.some((group) => line === `${group}:`));
    expect(shown).toEqual(used.map((group) => `${group}:`));
  });

  it('ends with examples', () => {
    const [, examples = ''] = helpText().split('\nExamples:\n');
    expect(examples.split('\n').length).toBe(3);
    for (const line of examples.split('\n')) expect(line).toMatch(/^ {2}mcp-sigv4-proxy /);
  });

  it('says what an option takes, and its default', () => {
    expect(helpText()).toContain(
      '--max-connections <n>\n      maximum number of connections for requests; further requests wait in order (an integer >= 1; default: 5)',
    );
    expect(helpText()).toContain('(an integer >= 0; default: 1, or the value of --max-connections if given)');
    expect(helpText()).toContain('(one of sigv4, none; default: sigv4)');
    expect(helpText()).toMatch(/--skip-auth\n {6}.*\(default: off\)/);
    expect(helpText()).toMatch(/--user-agent <suffix>\n {6}text added to the User-Agent header\n/);
  });
});

describe('help for a command', () => {
  const names = Object.keys(COMMANDS) as CommandName[];

  it.each(names)('says what %s takes and does, and shows it', (name) => {
    const lines = helpText(name).split('\n');
    expect(lines[0]).toMatch(new RegExp(`^Usage: mcp-sigv4-proxy ${name}`));
    expect(lines.at(-1)).toBe(`  ${COMMANDS[name].example}`);
    for (const key of Object.keys(COMMANDS[name].options)) {
      expect(lines.filter((line) => line.trimStart().split(' ')[0] === flagOf(key))).toHaveLength(1);
    }
  });

  it.each(names)('shows an example for %s that it takes', (name) => {
    const argv = COMMANDS[name].example.match(/'[^']*'|\S+/g)?.map((word) => word.replaceAll("'", '')) ?? [];
    expect(parseArguments(argv.slice(1), COMMANDS)).toMatchObject({ command: name, problems: [] });
  });

  it('stands in the general help, a line each', () => {
    for (const name of names) {
      expect(helpText()).toContain(`\n  ${name}`);
      expect(helpText()).toContain(COMMANDS[name].example);
    }
  });
});

describe('the option table of docs/options.md', () => {
  it('has a row for every option, with as many cells as its head', () => {
    const [head = '', ...rows] = optionsMarkdown().split('\n');
    const cells = (row: string) => row.replaceAll('\\|', '').split('|').length;
    for (const row of rows) expect(cells(row)).toBe(cells(head));
    for (const key of keys)
      expect(rows.filter((row) => row.startsWith(`| \`${flagOf(key)}`)).length).toBeGreaterThan(0);
  });
});

describe('.env.example', () => {
  it('names every variable once, empty, with its range in the comment above', () => {
    const lines = envExample().split('\n');
    for (const key of keys) {
      const at = lines.indexOf(`${variableOf(key)}=`);
      expect(lines[at - 1]).toMatch(/^# /);
      expect(lines.lastIndexOf(`${variableOf(key)}=`)).toBe(at);
    }
    expect(lines[lines.indexOf('MCP_PROXY_MAX_CONNECTIONS=') - 1]).toContain('an integer >= 1 (default: 5)');
    expect(lines).toContain('MCP_PROXY_ENDPOINT=');
  });
});
