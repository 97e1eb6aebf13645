import { list, type OptionValues, toggle } from '../../config/option.ts';
import { isObject, type JsonObject, type Response } from '../../core/jsonrpc/message.ts';
import { annotationsOf, type ToolAnnotations } from '../../core/tools/catalog.ts';
import { matchesAny } from '../../core/tools/glob.ts';
import { editTools } from '../../core/tools/list-edit.ts';

export const toolFilterOptions = {
  readOnly: toggle({
    group: 'Tools',
    common: true,
    help: 'show and call only tools with readOnlyHint: true, and tools that --allow-tool names',
  }),
  allowTool: list({
    group: 'Tools',
    common: true,
    placeholder: 'glob',
    separator: 'words',
    defaultText: 'all',
    help: 'show and call only tools that match; with --read-only, matching tools are allowed in addition to read-only tools',
  }),
  denyTool: list({
    group: 'Tools',
    common: true,
    placeholder: 'glob',
    separator: 'words',
    defaultText: 'none',
    help: 'never show or call tools that match; wins over --allow-tool and --read-only',
  }),
} as const;

export type ToolRules = OptionValues<typeof toolFilterOptions>;

/** The verdict on a tool, and the option that hides it. */
export type ToolVerdict = 'passes' | 'denied' | 'not-allowed' | 'not-read-only';

/** MCP allows 128. A longer name is no tool's: to match it against many globs takes long. */
const MAX_NAME_CHARACTERS = 1_024;

/**
 * With --read-only, --allow-tool adds tools; as a restriction it would have no effect there.
 * @returns undefined where it depends on whether the tool only reads.
 */
export function judgeName(
  { readOnly, allowTool, denyTool }: ToolRules,
  name: string,
): ToolVerdict | undefined {
  if (name.length > MAX_NAME_CHARACTERS || matchesAny(denyTool, name)) return 'denied';
  if (matchesAny(allowTool, name)) return 'passes';
  if (readOnly) return undefined;
  return allowTool.length === 0 ? 'passes' : 'not-allowed';
}

export const judgeTool = (rules: ToolRules, name: string, onlyReads: boolean): ToolVerdict =>
  judgeName(rules, name) ?? (onlyReads ? 'passes' : 'not-read-only');

/** True without any filter option. */
export const isUnfiltered = ({ readOnly, allowTool, denyTool }: ToolRules): boolean =>
  !readOnly && allowTool.length === 0 && denyTool.length === 0;

/**
 * Judges each tool of a list. If two tools share a name, also on two pages, a call could run either
 * of them: both must only read. Pure.
 * @param known - what an earlier page or list says of a tool.
 */
export function verdictsOn(
  { result }: JsonObject,
  rules: ToolRules,
  known: (name: string) => ToolAnnotations | undefined = () => undefined,
): Map<string, ToolVerdict> {
  const { tools } = isObject(result) ? result : {};
  const verdicts = new Map<string, ToolVerdict>();
  for (const tool of Array.isArray(tools) ? tools : []) {
    if (!isObject(tool) || typeof tool.name !== 'string') continue;
    const { name } = tool;
    const onlyReads = (): boolean =>
      verdicts.get(name) !== 'not-read-only' &&
      annotationsOf(tool).readOnly &&
      known(name)?.readOnly !== false;
    verdicts.set(name, judgeName(rules, name) ?? (onlyReads() ? 'passes' : 'not-read-only'));
  }
  return verdicts;
}

/**
 * The response with only those tools that the rules let through, for a list that reaches a client
 * past the layers: a stream that is resumed repeats it. Every other response stays as it is. Pure.
 */
export function visibleTools(response: Response, rules: ToolRules): Response {
  const verdicts = verdictsOn(response.json, rules);
  return editTools(response, ({ name }, text) =>
    typeof name === 'string' && verdicts.get(name) === 'passes' ? text : undefined,
  );
}

/**
 * True where a lenient server could take the method for one that the filter judges: after removing
 * case, compatibility forms, blanks and invisible characters. Pure.
 */
export function resemblesToolMethod(method: string): boolean {
  if (method === 'tools/call' || method === 'tools/list') return false;
  // The Kelvin sign and the long s fold to ASCII letters as well.
  const folded = method
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^a-z/]/g, '');
  return folded === 'tools/call' || folded === 'tools/list';
}
