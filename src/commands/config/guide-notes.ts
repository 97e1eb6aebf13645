import type { ClientName } from '../../command-table.ts';
import { PACKAGE_NAME } from '../../version.ts';

/** The parts of a client's guide that the program itself does not need. */
export interface GuideNotes {
  /** Where the client shows whether the server runs, and where its log is. */
  readonly check: string;
  /** Which limits of the client end a start or a call before the proxy does. */
  readonly limits: string;
  /** A shell command of the client itself that adds the server. */
  readonly own?: string;
  readonly more?: string;
}

const NO_LIMIT = 'documents no setting for the time limit of a call.';
const IN_BLOCK =
  'The block sets it above the longest answer of the proxy, so that the error of the proxy, with its reason, arrives first.';
const ADDED = `npx -y ${PACKAGE_NAME} --lazy --profile dev`;

export const GUIDE_NOTES: Readonly<Record<ClientName, GuideNotes>> = {
  'claude-code': {
    check:
      '`claude mcp list` in a shell, and `/mcp` in a conversation, show the server and its state. `/mcp` also reconnects it.',
    limits:
      '`MCP_TIMEOUT` limits the start of a server, and `MCP_TOOL_TIMEOUT` each call, both in milliseconds. They are variables of the environment that Claude Code starts in. Raise the second one for tools that run longer than it allows.',
    own: `claude mcp add aws -- ${ADDED}`,
    more: 'With `--scope user` after `add`, the server is available in all projects. Claude Code starts servers with the environment of its own shell, so a profile in the arguments is safer than `AWS_PROFILE`.',
  },
  'claude-desktop': {
    check:
      'Restart Claude Desktop. Settings, Developer shows the server and its state. Its log is `mcp-server-aws.log` in `~/Library/Logs/Claude` on macOS, and in `%APPDATA%\\Claude\\logs` on Windows.',
    limits: `Claude Desktop ${NO_LIMIT} A [public report](https://github.com/anthropics/claude-code/issues/22542) measured about 60 seconds. Tools that run longer have to work in the background.`,
    more: 'Claude Desktop starts servers with a bare environment. It does not see variables of your shell, so name the profile in the arguments.',
  },
  opencode: {
    check: '`opencode mcp list` shows the server and its state.',
    limits: `\`timeout\`, in milliseconds, limits the start and each call. ${IN_BLOCK}`,
  },
  cursor: {
    check:
      'Cursor Settings, Tools & MCP shows the server with its tools. The Output panel has its log under "MCP Logs".',
    limits: `Cursor ${NO_LIMIT}`,
  },
  vscode: {
    check:
      'The command "MCP: List Servers" shows the server; "Show Output" opens its log, and "Restart Server" starts it again.',
    limits: `VS Code ${NO_LIMIT}`,
    more: 'VS Code asks for each secret once and keeps it in its own storage; the file contains only the name of the input.',
  },
  kiro: {
    check:
      'The view "MCP Servers" in the panel of Kiro shows the server and its tools. The Output panel has its log under "Kiro - MCP Logs".',
    limits: `Kiro ${NO_LIMIT}`,
    more: 'Profile and region are arguments, because Kiro lets variables of the shell override those of the file ([report](https://github.com/kirodotdev/Kiro/issues/5089)).',
  },
  codex: {
    check: '`codex mcp list` in a shell, and `/mcp` in a conversation, show the server.',
    limits: `\`startup_timeout_sec\` limits the start (10 seconds without it), and \`tool_timeout_sec\` each call (60 seconds without it). ${IN_BLOCK}`,
    own: `codex mcp add aws -- ${ADDED}`,
    more: 'Codex passes on only a short list of variables. `env_vars` in the block names the further ones that the proxy needs.',
  },
  'gemini-cli': {
    check: '`gemini mcp list` in a shell, and `/mcp` in a conversation, show the server and its tools.',
    limits: `\`timeout\`, in milliseconds, limits each request. ${IN_BLOCK}`,
  },
  windsurf: {
    check: 'Press Refresh in the MCP panel of Cascade. It shows the server and its tools.',
    limits: `Windsurf ${NO_LIMIT}`,
    more: 'Cascade limits the number of tools of all servers together. `--allow-tool` [selects some](../tools.md).',
  },
  zed: {
    check: 'The settings of the Agent Panel show the server; a green dot means that it runs.',
    limits: `Zed ${NO_LIMIT}`,
  },
  cline: {
    check: 'MCP Servers, Configure shows the server and its errors; "Restart Server" starts it again.',
    limits: `\`timeout\`, in seconds, limits each request; Cline accepts 30 seconds to one hour, and uses a minute without it. ${IN_BLOCK}`,
  },
  'amazon-q': {
    check: '`/tools` in a chat shows the tools of each server, and the servers that are still loading.',
    limits: `\`timeout\`, in milliseconds, limits each request. ${IN_BLOCK} \`q settings mcp.initTimeout\` sets how long a chat waits for servers at its start.`,
  },
  jetbrains: {
    check:
      'Settings, Tools, AI Assistant, Model Context Protocol (MCP) shows the state of each server, and its tools.',
    limits: `JetBrains AI Assistant ${NO_LIMIT}`,
  },
  goose: {
    check:
      '`goose configure`, Toggle Extensions shows the extension. A session that starts reports extensions that failed.',
    limits: `\`timeout\`, in seconds, limits each call. ${IN_BLOCK}`,
  },
  'lm-studio': {
    check: 'The tab Program shows the server with a switch; its tools appear when it is on.',
    limits: `LM Studio ${NO_LIMIT}`,
  },
};
