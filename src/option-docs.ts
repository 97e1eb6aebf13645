import { boundsOf, OPTION_GROUPS, type Option, type OptionTable, variableOf } from './config/option.ts';
import { defaultOf, usageOf } from './config/option-text.ts';
import { DEFAULT_ENDPOINT } from './endpoint/endpoint.ts';
import { ENDPOINT_VARIABLE, OPTIONS } from './settings.ts';

/** Writes docs/options.md and .env.example from the option tables. A guard test compares them. */

const entries: readonly (readonly [string, Option])[] = Object.entries(OPTIONS as OptionTable);

const inGroup = (group: string) => entries.filter(([, option]) => option.group === group);

/** Groups without options get no heading. */
const groups = OPTION_GROUPS.filter((group) => inGroup(group).length > 0);

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

export function optionsMarkdown(): string {
  const lines = ['| option | default | takes | what it does |', '|---|---|---|---|'];
  lines.push(
    `| \`[endpoint]\` | \`${DEFAULT_ENDPOINT}\` | https URL (http for loopback), or the ARN of an AgentCore runtime or gateway | where requests go; variable \`${ENDPOINT_VARIABLE}\` |`,
  );
  for (const group of groups) {
    lines.push(`| **${group}** | | | |`);
    for (const [key, option] of inGroup(group)) {
      const single = option.kind === 'list' ? (option.singleEnv ?? []) : [];
      const names = [...(option.env ?? []), ...single];
      const also = names.length > 0 ? `; also ${names.join(', ')}` : '';
      lines.push(
        `| \`${usageOf(key, option)}\` | ${cell(defaultOf(option))} | ${cell(boundsOf(option))} | ${cell(option.help)}${also} |`,
      );
    }
  }
  return lines.join('\n');
}

export function envExample(): string {
  const lines = [
    '# Every option as an environment variable. An empty variable counts as unset; a flag beats a variable.',
    '# Read a file like this with --env-file: it is never read by itself.',
    '',
    `# URL, or the ARN of an AgentCore runtime or gateway (default: ${DEFAULT_ENDPOINT})`,
    `${ENDPOINT_VARIABLE}=`,
  ];
  for (const group of groups) {
    lines.push('', `# --- ${group} ---`);
    for (const [key, option] of inGroup(group)) {
      const byDefault = defaultOf(option);
      lines.push(
        `# ${option.help}; ${boundsOf(option)}${byDefault ? ` (default: ${byDefault})` : ''}`,
        `${variableOf(key)}=`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Returns a page with its generated parts renewed: the option table and the quoted examples. */
export function pageWith(page: string, examples: Readonly<Record<string, string>>): string {
  return page
    .replace(
      /(<!-- options: [^>]*-->\n)[\s\S]*?(<!-- \/options -->)/,
      (_whole, open: string, close: string) => `${open}${optionsMarkdown()}\n${close}`,
    )
    .replace(
      /(<!-- example: (\S+) [^>]*-->\n```js\n)[\s\S]*?(^```\n)/gm,
      (_whole, open: string, file: string, close: string) => `${open}${examples[file] ?? ''}${close}`,
    );
}
