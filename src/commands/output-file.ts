import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, parse, resolve } from 'node:path';
import { causeText } from '../core/errors/errors.ts';
import { plainText } from '../core/system/plain-text.ts';
import type { CommandContext } from './command.ts';
import { fail } from './failure.ts';
import type { Binary } from './result-text.ts';

/** The path of the file at a position: a.png, a-2.png, a-3.png. */
export function numbered(path: string, at: number): string {
  if (at === 0) return path;
  const { dir, name, ext, root } = parse(path);
  const folder = dir === '' || dir === root ? dir : `${dir}/`;
  return `${folder}${name}-${at + 1}${ext}`;
}

/**
 * Why the file of --output cannot be written, as a list of at most one text. Checked before the
 * call, whose result would be lost.
 */
export function outputProblems(path: string | undefined): readonly string[] {
  if (path === undefined) return [];
  const stat = (name: string) => statSync(name, { throwIfNoEntry: false });
  if (stat(resolve(path))?.isDirectory()) return [`--output must be a file: ${path} is a folder`];
  const folder = dirname(resolve(path));
  return stat(folder)?.isDirectory() ? [] : [`--output: the folder ${folder} does not exist`];
}

/**
 * Writes binary content to the file of --output, or the text if there is no binary content.
 * @returns the exit code.
 */
export async function writeOutput(
  context: CommandContext,
  path: string,
  { binaries, text }: { readonly binaries: readonly Binary[]; readonly text: string },
): Promise<number> {
  const files = binaries.map(({ base64, mimeType }) => ({ bytes: Buffer.from(base64, 'base64'), mimeType }));
  if (files.length === 0) files.push({ bytes: Buffer.from(text), mimeType: 'text' });
  const { stderr, stdout } = context;
  for (const [at, { bytes, mimeType }] of files.entries()) {
    const file = numbered(path, at);
    try {
      await writeFile(resolve(file), bytes);
    } catch (error) {
      return fail(context, { code: null, reason: 'output-file', message: `--output: ${causeText(error)}` });
    }
    stderr.note(`mcp-sigv4-proxy: wrote ${bytes.length} bytes (${plainText(mimeType)}) to ${file}\n`);
  }
  if (binaries.length > 0) stdout.write(text);
  return 0;
}
