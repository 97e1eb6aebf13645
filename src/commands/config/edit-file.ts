import { isDeepStrictEqual } from 'node:util';
import { isObject, withoutByteOrderMark } from '../../core/jsonrpc/message.ts';
import type { ClientFormat, Edit } from './clients.ts';

/** The new text of a client's file, or why it cannot be changed. */
export type Edited = { readonly text: string } | { readonly problem: string };

type Syntax = ClientFormat['syntax'];

interface Parsed {
  readonly value: unknown;
  /** Sets values and returns the new text. */
  readonly set: (changes: readonly { readonly path: readonly string[]; readonly value: unknown }[]) => string;
}

/**
 * Changes a client's file. Comments, order and layout of everything else stay.
 * @param text - empty for a file that does not exist.
 */
export async function editFile(text: string, syntax: Syntax, edits: readonly Edit[]): Promise<Edited> {
  const isNew = text.trim() === '';
  const parsed = await PARSERS[syntax](isNew ? EMPTY[syntax] : withoutByteOrderMark(text));
  if ('problem' in parsed) return parsed;
  const { value, set } = parsed;
  if (!isObject(value)) return { problem: 'does not contain an object' };
  const changes: { path: readonly string[]; value: unknown }[] = [];
  for (const { path, value: wanted, ifAbsent, addBy } of edits) {
    for (let depth = 1; depth < path.length; depth++) {
      const parent = valueAt(value, path.slice(0, depth));
      if (parent !== undefined && parent !== null && !isObject(parent))
        return { problem: `has no object at ${path.slice(0, depth).join('.')}` };
    }
    const present = valueAt(value, path);
    if (ifAbsent && !isNew) continue;
    const next = addBy === undefined ? wanted : merged(present, wanted, addBy);
    // An equal value keeps its layout.
    if (!isDeepStrictEqual(present, next)) changes.push({ path, value: next });
  }
  return { text: set(changes) };
}

/** The text of a new file with these values. */
export async function newFile(syntax: Syntax, edits: readonly Edit[]): Promise<string> {
  const edited = await editFile('', syntax, edits);
  if ('problem' in edited) throw new TypeError(edited.problem);
  return edited.text;
}

const EMPTY: Readonly<Record<Syntax, string>> = { json: '{}\n', toml: '', yaml: '{}\n' };

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const key of path) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}

/** The entries of a list with those of another: an entry of the same key is replaced. */
function merged(present: unknown, wanted: unknown, key: string): unknown {
  if (!Array.isArray(present) || !Array.isArray(wanted)) return wanted;
  const keyOf = (entry: unknown): unknown => (isObject(entry) ? entry[key] : undefined);
  const keys = wanted.map(keyOf);
  return [...present.filter((entry) => !keys.includes(keyOf(entry))), ...wanted];
}

type Parser = (text: string) => Promise<Parsed | { readonly problem: string }>;

// Each parser is loaded on demand: only `config --write` and `init` need one.
const PARSERS: Readonly<Record<Syntax, Parser>> = {
  async json(text) {
    const { applyEdits, modify, parse, printParseErrorCode } = await import('jsonc-parser');
    const errors: { error: number; offset: number; length: number }[] = [];
    const value: unknown = parse(text, errors, { allowTrailingComma: true });
    const [first] = errors;
    if (first)
      return {
        problem: `is no valid JSON: ${printParseErrorCode(first.error)} in line ${lineAt(text, first.offset)}`,
      };
    const tab = /^\t/m.test(text);
    const indent = /^( +)\S/m.exec(text)?.[1]?.length ?? 2;
    const eol = text.includes('\r\n') ? '\r\n' : '\n';
    const formattingOptions = { insertSpaces: !tab, tabSize: tab ? 1 : indent, eol };
    return {
      value,
      set: (changes) =>
        changes.reduce(
          (result, { path, value: wanted }) =>
            applyEdits(result, modify(result, [...path], wanted, { formattingOptions })),
          text,
        ),
    };
  },

  async toml(text) {
    const { parse, patch, TomlFormat } = await import('@decimalturn/toml-patch');
    const problemOf = (error: unknown) => ({
      problem: `is no valid TOML: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
    });
    let value: unknown;
    try {
      value = parse(text);
    } catch (error) {
      return problemOf(error);
    }
    return {
      value,
      set: (changes) => {
        const wanted = structuredClone(value) as Record<string, unknown>;
        for (const change of changes) setAt(wanted, change.path, change.value);
        const format = TomlFormat.autoDetectFormat(text);
        // Codex writes each server as a table of its own: [mcp_servers.aws].
        format.inlineTableStart = 2;
        return patch(text, wanted, format);
      },
    };
  },

  async yaml(text) {
    const { parseDocument } = await import('yaml');
    const document = parseDocument(text);
    const [first] = document.errors;
    if (first) return { problem: `is no valid YAML: ${first.message.split('\n')[0]}` };
    return {
      value: document.toJS() ?? {},
      set: (changes) => {
        for (const { path, value } of changes) document.setIn([...path], document.createNode(value));
        if (document.contents && 'flow' in document.contents) document.contents.flow = false;
        return document.toString({ lineWidth: 0 });
      },
    };
  },
};

function setAt(root: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path;
  if (rest.length === 0) {
    root[key] = value;
    return;
  }
  const inner = isObject(root[key]) ? (root[key] as Record<string, unknown>) : {};
  root[key] = inner;
  setAt(inner, rest, value);
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;
