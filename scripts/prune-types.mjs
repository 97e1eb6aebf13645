// Removes from dist/types the declarations that the library's entries do not import: programs
// cannot use them, and some import bundled packages, which are not installed. Then writes copies
// for `require`, because TypeScript treats a `.d.ts` of this package as an ES module.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const ROOT = join('dist', 'types');

// Optional, so their imports have a `@ts-expect-error`.
const { peerDependencies } = JSON.parse(await readFile('package.json', 'utf8'));
const peers = Object.keys(peerDependencies);

const reached = new Set();
const ENTRIES = join(ROOT, 'library', 'entries');
const waiting = [
  join(ROOT, 'library', 'index.d.ts'),
  ...(await readdir(ENTRIES)).filter((name) => name.endsWith('.d.ts')).map((name) => join(ENTRIES, name)),
];
for (const path of waiting) {
  if (reached.has(path)) continue;
  reached.add(path);
  const text = await readFile(path, 'utf8');
  for (const [, name] of text.matchAll(/(?:from |import\()(?:'|")([^'"]+)(?:'|")/g)) {
    if (name.startsWith('node:')) continue;
    if (peers.some((peer) => name === peer || name.startsWith(`${peer}/`))) continue;
    if (!name.startsWith('.'))
      throw new Error(`${path} needs the types of ${name}, which the package does not install`);
    waiting.push(join(dirname(path), name.replace(/\.ts$/, '.d.ts')));
  }
}

for (const entry of await readdir(ROOT, { recursive: true, withFileTypes: true })) {
  const path = join(entry.parentPath, entry.name);
  if (entry.isFile() && !reached.has(path)) await rm(path);
}

const relativeImport = /((?:from |import\()['"]\.[^'"]+)\.ts(['"])/g;
const peerImport = new RegExp(`^import .* from '(?:${peers.join('|')})(?:/.*)?';$`, 'gm');
for (const path of reached) {
  const text = (await readFile(path, 'utf8')).replace(peerImport, '// @ts-ignore: an optional peer\n$&');
  await writeFile(path, text);
  await writeFile(path.replace(/\.d\.ts$/, '.d.cts'), text.replace(relativeImport, '$1.cts$2'));
}
