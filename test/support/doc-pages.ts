import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_NAME } from '../../src/version.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Every page that users read, by its path. */
export const DOC_PAGES: readonly string[] = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
  'CONTRIBUTING.md',
];

export const pageText = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

/** The bodies of a page's fenced blocks of a language, in order. */
export const blocksIn = (page: string, language: string): string[] =>
  [...pageText(page).matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, body = '']) => body,
  );

/** One start of the proxy, as a shell reads it from a page. */
export interface ShownCommand {
  readonly args: readonly string[];
  /** The variables that the line itself sets. */
  readonly env: Readonly<Record<string, string>>;
}

/** The variables that a page may set in front of a command. */
const VARIABLES = ['API_TOKEN', 'MCP_PROXY_LISTEN_TOKEN'];

/**
 * The programs that a page may name: those that start the proxy print how, the others do nothing.
 */
const STAND_INS = `
set -eu
proxy() { printf '%s\\0' ${VARIABLES.map((name) => `"\${${name}:-}"`).join(' ')} "$#" "$@"; }
mcp-sigv4-proxy() { proxy "$@"; }
npx() {
  case "$1 $2" in 'vitest run') return 0 ;; '-y ${PACKAGE_NAME}') shift 2; proxy "$@" ;; *) return 1 ;; esac
}
claude() {
  [ "$1" = mcp ]
  case " $* " in *' -- '*) ;; *) return 0 ;; esac
  while [ "$1" != -- ]; do shift; done
  shift
  "$@"
}
npm() { :; }
aws() { :; }
curl() { :; }
node() { :; }
openssl() { printf '%048d' 7; }
HOME=/home/dev
PATH=
`;

/**
 * Runs the page's shell blocks with stand-ins for all programs. Fails where the page names any
 * other program.
 */
export function commandsIn(page: string): ShownCommand[] {
  const script = [STAND_INS, ...blocksIn(page, 'sh')].join('\n');
  const fields = execFileSync('/bin/bash', ['-c', script], { encoding: 'utf8' }).split('\0');
  const commands: ShownCommand[] = [];
  for (let at = 0; at + VARIABLES.length < fields.length; ) {
    const values = VARIABLES.map((name, index) => [name, fields[at + index] ?? ''] as const);
    const first = at + VARIABLES.length + 1;
    const end = first + Number(fields[first - 1]);
    const env = Object.fromEntries(values.filter(([, value]) => value !== ''));
    commands.push({ args: fields.slice(first, end), env });
    at = end;
  }
  return commands;
}

/**
 * The programs with which a client's configuration starts the proxy, left out of its command line.
 */
const LAUNCHERS = [['npx', '-y', PACKAGE_NAME], ['mcp-sigv4-proxy']];

/**
 * The arguments that a client would give the proxy by a configuration block; undefined for any
 * other JSON.
 */
export function clientArgs(block: unknown): string[] | undefined {
  const { mcpServers, mcp } = block as Record<
    string,
    Record<string, { command: string | string[]; args?: string[] }>
  >;
  const [server] = Object.values(mcpServers ?? mcp ?? {});
  if (server === undefined) return undefined;
  const line = [server.command, server.args ?? []].flat();
  const launcher = LAUNCHERS.find((words) => words.every((word, at) => line[at] === word));
  if (launcher === undefined) throw new Error(`no start of the proxy: ${line.join(' ')}`);
  return line.slice(launcher.length);
}
