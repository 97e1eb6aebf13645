import { ProxyError } from '../../core/errors/errors.ts';
import type { ToolCatalog } from '../../core/tools/catalog.ts';
import type { ToolRules, ToolVerdict } from './rules.ts';

const WHY_HIDDEN: Readonly<Record<Exclude<ToolVerdict, 'passes'>, string>> = {
  denied: '--deny-tool matches it. To allow it, take that out of --deny-tool',
  'not-allowed': '--allow-tool does not name it. To allow it, add its name to --allow-tool',
  'not-read-only':
    'the server does not say that it only reads (readOnlyHint), and --read-only is on. To allow it all the same, name it with --allow-tool',
};

/** A client may send anything as a name, and errors are read by people. */
export const MAX_NAME_SHOWN = 100;
const quoteName = (name: string): string =>
  JSON.stringify(name.length > MAX_NAME_SHOWN ? `${name.slice(0, MAX_NAME_SHOWN)}...` : name);

export const ambiguousMethod = (method: string): ProxyError =>
  new ProxyError(
    'invalid-request',
    `Invalid request: the method ${quoteName(method)} resembles tools/call or tools/list, which the settings of mcp-sigv4-proxy filter. Use the exact name of the method. The request was not sent.`,
    { sent: 'no' },
  );

export const isFilterRefusal = (error: unknown): error is ProxyError =>
  error instanceof ProxyError && (error.reason === 'tool-refused' || error.reason === 'unknown-tool');

export const toolRefused = (verdict: Exclude<ToolVerdict, 'passes'>, name: string): ProxyError =>
  new ProxyError(
    'tool-refused',
    `The tool ${quoteName(name)} is not available: ${WHY_HIDDEN[verdict]} in the settings of mcp-sigv4-proxy and start it again. The call was not sent.`,
    { sent: 'no', details: { verdict } },
  );

export const unknownTool = (name: string): ProxyError =>
  new ProxyError(
    'unknown-tool',
    `The server lists no tool ${quoteName(name)}. The call was not sent. List the tools again for the names there are.`,
    { sent: 'no' },
  );

export const listChangedMeanwhile = (name: string): ProxyError =>
  new ProxyError(
    'tools-unknown',
    `The server's list of tools changed while it was read, so that the options cannot be applied to ${quoteName(name)} now. The call was not sent; try again.`,
    { sent: 'no' },
  );

export function allHidden({ readOnly, allowTool }: ToolRules, tools: ToolCatalog): string {
  const [first = ''] = tools.names;
  if (!readOnly) {
    return allowTool.length > 0
      ? `--allow-tool and --deny-tool leave none of the server's ${tools.size} tools, such as ${quoteName(first)}: look at their globs.`
      : `--deny-tool hides all ${tools.size} tools of the server, such as ${quoteName(first)}: look at its globs.`;
  }
  return `--read-only hides all ${tools.size} tools of the server: it says of none that it only reads (readOnlyHint: true). Name those that you trust with --allow-tool, such as --allow-tool ${quoteName(first)}; globs like "get_*" work.`;
}
