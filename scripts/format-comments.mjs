// Wraps the comments that are wider than 100 columns, without changing a word. Biome formats code
// only. Lists, code, tags, tables and the directives of tools keep their lines. Run it with: npm
// run format:comments
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { transform } from 'esbuild';

const MAX_COLUMNS = 100;
const FOLDERS = ['src', 'scripts', 'test/support'];
const DIRECTIVE = /^(biome-ignore|@ts-|<reference|#|v8 ignore)/;
/** Starts a paragraph of its own: a list item, a tag of TSDoc, a row of a table. */
const ITEM = /^([-*•|] ?|\d+\. |@\w)/;

/** Splits a text at its blanks, but not within `code` or {@link name}. */
const wordsOf = (text) => text.match(/(?:`[^`]{1,60}`|\{@[^}]*\}|[^\s`{]|[`{])+/g) ?? [];

/**
 * @param {string[]} lines - the texts of a comment. @returns the same words in lines of at most
 * `columns`.
 */
function wrapped(lines, columns) {
  const result = [];
  let paragraph = [];
  const flush = () => {
    if (paragraph.some((line) => line.length > columns)) {
      const hanging = /^\s*/.exec(paragraph[1] ?? '')?.[0] ?? '';
      const indent = paragraph.length > 1 ? hanging : /^[-*•] /.test(paragraph[0]) ? '  ' : '';
      let line = '';
      for (const word of wordsOf(paragraph.join(' '))) {
        if (line.trim() !== '' && line.length + 1 + word.length > columns) {
          result.push(line);
          line = `${indent}${word}`;
        } else line = line === '' ? word : `${line} ${word}`;
      }
      if (line.trim() !== '') result.push(line);
    } else result.push(...paragraph);
    paragraph = [];
  };
  let fenced = false;
  for (const line of lines) {
    const isFence = line.trim().startsWith('```');
    const continues = paragraph.length > 0 && ITEM.test(paragraph[0]);
    const isCode = fenced || isFence || DIRECTIVE.test(line) || (/^\s{2,}/.test(line) && !continues);
    if (isFence) fenced = !fenced;
    if (isCode || line.trim() === '' || ITEM.test(line)) flush();
    if (isCode || line.trim() === '') result.push(line);
    else paragraph.push(line);
  }
  flush();
  return result;
}

/** @param {string} source @returns {string} */
export function withWrappedComments(source) {
  const lines = source.split('\n');
  const result = [];
  for (let at = 0; at < lines.length; at++) {
    const start = /^(\s*)(\/\/|\/\*\*?)(?!\*)/.exec(lines[at]);
    if (!start) {
      result.push(lines[at]);
      continue;
    }
    const [, indent, opening] = start;
    const first = at;
    if (opening === '//') {
      while (lines[at + 1]?.startsWith(`${indent}// `) || lines[at + 1] === `${indent}//`) at++;
      const own = lines.slice(first, at + 1);
      if (own.every((line) => line.length <= MAX_COLUMNS)) result.push(...own);
      else {
        const texts = own.map((line) => line.slice(indent.length + 2).replace(/^ /, ''));
        const columns = MAX_COLUMNS - indent.length - 3;
        result.push(...wrapped(texts, columns).map((text) => `${indent}// ${text}`.trimEnd()));
      }
      continue;
    }
    while (!lines[at].includes('*/') && at < lines.length - 1) at++;
    const own = lines.slice(first, at + 1);
    const last = own.at(-1);
    if (own.every((line) => line.length <= MAX_COLUMNS) || !last.trimEnd().endsWith('*/')) {
      result.push(...own);
      continue;
    }
    const body = own.map((line, row) => {
      let text = row === 0 ? line.slice(indent.length + opening.length) : line.replace(/^\s*\*(?!\/)/, '');
      if (row === own.length - 1) text = text.replace(/\s*\*\/\s*$/, '');
      return text.replace(/^ /, '').trimEnd();
    });
    if (body[0] === '') body.shift();
    if (body.at(-1)?.trim() === '') body.pop();
    const texts = wrapped(body, MAX_COLUMNS - indent.length - 3);
    result.push(
      `${indent}${opening}`,
      ...texts.map((text) => `${indent} * ${text}`.trimEnd()),
      `${indent} */`,
    );
  }
  return result.join('\n');
}

const compiled = async (source, path) =>
  (await transform(source, { loader: path.endsWith('.ts') ? 'ts' : 'js', minifyWhitespace: true })).code;

for (const folder of FOLDERS) {
  for (const name of await readdir(folder, { recursive: true })) {
    if (!/\.(ts|mjs)$/.test(name)) continue;
    const path = join(folder, name);
    const source = await readFile(path, 'utf8');
    const formatted = withWrappedComments(source);
    if (formatted === source) continue;
    if ((await compiled(source, path)) !== (await compiled(formatted, path)))
      throw new Error(`${path}: wrapping would change more than comments`);
    await writeFile(path, formatted);
    process.stdout.write(`${path}\n`);
  }
}
