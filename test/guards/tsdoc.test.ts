import { expect, it } from 'vitest';
import { sourceText } from './source-tree.ts';

/** The files that declare the names of the library, with the names. */
function exportsOf(entry: string): [file: string, names: string[]][] {
  const exports = [...entry.matchAll(/export (?:type )?\{([^}]*)\} from '\.\.\/([^']+)'/g)];
  return exports.map(([, names = '', file = '']) => [
    file,
    names.split(',').flatMap((name) => /^(?:type )?(\w+)/.exec(name.trim())?.[1] ?? []),
  ]);
}

const DECLARATION = (name: string): RegExp =>
  new RegExp(
    `^(?:export )?(?:declare )?(?:async )?(?:abstract )?(interface|type|class|const|function) ${name}\\b`,
  );
/** A member of an interface or class at the top level of its body, which is not private. */
const MEMBER = /^ {2}(?:(?:readonly|static|async|get|set) )*(\w+)\??[(:<;=]/;

/** The names in a source that have no TSDoc: `Name`, or `Name.member` for a member. */
function undocumented(source: string, name: string): string[] {
  const lines = source.split('\n');
  const isDocumented = (at: number): boolean => lines[at - 1]?.trimEnd().endsWith('*/') === true;
  const start = lines.findIndex((line) => DECLARATION(name).test(line));
  if (start < 0) return [`${name} is not declared`];
  const missing = isDocumented(start) ? [] : [name];
  const kind = DECLARATION(name).exec(lines[start] ?? '')?.[1];
  if (kind !== 'interface' && kind !== 'class') return missing;
  const end = lines.findIndex((line, at) => at >= start && /^\}|\{\}$/.test(line));
  for (let at = start + 1; at < end; at++) {
    const member = MEMBER.exec(lines[at] ?? '')?.[1];
    if (member && !isDocumented(at)) missing.push(`${name}.${member}`);
  }
  return missing;
}

it('the check of TSDoc detects a name, a property, a method and an accessor without it', () => {
  const source = `
export interface Bare {
  /** Documented. */
  readonly fine: string;
  readonly bare?: string;
  call(value: {
    readonly inner: string;
  }): void;
}

/** Documented. */
export class Documented {
  #hidden = 0;
  get size(): number {
    return this.#hidden;
  }
}`;
  expect(undocumented(source, 'Bare')).toEqual(['Bare', 'Bare.bare', 'Bare.call']);
  expect(undocumented(source, 'Documented')).toEqual(['Documented.size']);
  expect(undocumented(source, 'Absent')).toEqual(['Absent is not declared']);
});

it('each name that the library exports has TSDoc, and each member of its interfaces and classes', () => {
  const exports = exportsOf(sourceText('library/index.ts'));
  expect(exports.flatMap(([, names]) => names)).toContain('CredentialProviderOptions');
  const missing = exports.flatMap(([file, names]) =>
    names.flatMap((name) => undocumented(sourceText(file), name).map((what) => `src/${file}: ${what}`)),
  );
  expect(missing).toEqual([]);
});
