import { CLIENTS, type ClientName, COMMANDS } from '../../command-table.ts';
import { parseArguments, readSettings } from '../../settings.ts';
import { PACKAGE_NAME } from '../../version.ts';
import { configBlock } from './block.ts';
import { CLIENT_FORMATS } from './clients.ts';
import { GUIDE_NOTES } from './guide-notes.ts';

/**
 * Writes docs/clients/ from the table of clients: the blocks in the guides are those that `config`
 * prints. A guard test compares them.
 */

/** The options that a guide shows: the recommended ones, and a proxy that runs already. */
const STDIO = ['--lazy', '--profile', 'dev'];
const HTTP = ['--listen', '127.0.0.1:8080'];

async function blockOf(client: ClientName, options: readonly string[]): Promise<string> {
  const args = parseArguments(['config', client, ...options], COMMANDS);
  // Without the files of the user: the guides are the same on each machine.
  const env = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' };
  const outcome = await readSettings(args, env, { configFile: false });
  if ('problems' in outcome) throw new Error(`${client}: ${outcome.problems.join('; ')}`);
  const target = { platform: 'linux', cwd: '/', knownProfiles: ['dev'] } as const;
  const { text } = await configBlock(client, args, { ...outcome.settings, env: {} }, target);
  return `\`\`\`${CLIENT_FORMATS[client].syntax}\n${text.trimEnd()}\n\`\`\``;
}

const shell = (...lines: readonly string[]): string => `\`\`\`sh\n${lines.join('\n')}\n\`\`\``;

/** Text such as <name>, which would be a tag. */
const prose = (text: string): string => text.replaceAll('<', '&lt;');

const program = `npx -y ${PACKAGE_NAME}`;

/** The guide for one client, as Markdown. */
export async function clientGuide(client: ClientName): Promise<string> {
  const { title, where, file, http, supply } = CLIENT_FORMATS[client];
  const { check, limits, own, more } = GUIDE_NOTES[client];
  const writes = file !== undefined;
  const sections = [
    `# ${title}\n\n<!-- npm run docs writes this page from the table of clients -->`,
    `This page connects ${title} to an MCP server on AWS. The examples connect to the AWS MCP Server; [another endpoint](../endpoints.md) is one more argument.`,
    '## Add the server',
    `First check that the proxy works with your credentials. \`doctor\` names each fault and its remedy:`,
    shell(`${program} doctor --profile dev`),
    ...(writes
      ? [
          `\`init\` asks for endpoint and profile, checks them, shows the change of the file, and writes it. \`config --write\` does the same in one step, without checks. Both keep comments and order, and leave a copy of the old file:`,
          shell(`${program} init ${client}`, `${program} config ${client} ${STDIO.join(' ')} --write`),
        ]
      : []),
    ...(own === undefined ? [] : ['Or use the command of the client itself:', shell(own)]),
    `${writes ? 'Or put' : 'Put'} this block into the configuration of ${title}: ${prose(where)}. \`${program} config ${client}\` prints it with your own options; on Windows it starts npx through \`cmd /c\`.`,
    await blockOf(client, STDIO),
    '## See that it works',
    check,
    `If it does not work, [troubleshooting](../troubleshooting.md) has the causes. With \`--lazy\`, the server starts also with an expired login, and names the command to run.`,
    '## Time limits',
    limits,
    `The limits of the proxy itself are \`--tool-timeout\` for calls and \`--timeout\` for other requests; see [options](../options.md).`,
    '## Secrets',
    `\`config\` replaces secrets by placeholders, and names them. ${prose(supply)}.`,
    ...(more === undefined ? [] : ['## Notes', more]),
    ...(http === undefined
      ? []
      : [
          '## Connect by URL',
          `With [a proxy that listens](../listener.md), ${title} connects by URL and starts no process. \`${program} config ${client} ${HTTP.join(' ')}\` prints this block:`,
          await blockOf(client, HTTP),
        ]),
  ];
  return `${sections.join('\n\n')}\n`;
}

/** The list of all guides, as Markdown. */
export const guideList = (): string =>
  [
    '# Guides for clients',
    '<!-- npm run docs writes this page from the table of clients -->',
    'Each guide shows how to add the proxy to a client, how to check it, and which limits the client has.',
    '| client | file |\n|---|---|\n' +
      CLIENTS.map((client) => {
        const { title, where } = CLIENT_FORMATS[client];
        return `| [${title}](${client}.md) | ${prose(where)} |`;
      }).join('\n'),
    `A client that is not in this list works too if it starts stdio servers: its command is \`npx\`, and its arguments are \`-y\`, \`${PACKAGE_NAME}\` and your options.\n`,
  ].join('\n\n');

/** All pages of docs/clients/, by file name. */
export async function clientGuides(): Promise<Readonly<Record<string, string>>> {
  const guides = await Promise.all(
    CLIENTS.map(async (client) => [`${client}.md`, await clientGuide(client)] as const),
  );
  return { 'index.md': guideList(), ...Object.fromEntries(guides) };
}
