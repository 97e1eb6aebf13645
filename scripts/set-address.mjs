// Changes the address of the repository, or the name of the package, in all files that contain it.
// Usage: node scripts/set-address.mjs [--repository https://github.com/<owner>/<name>] [--package
// <name>] Run npm run docs afterwards.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const escaped = (text) => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');

/** The owner and the name of a repository on GitHub. */
export function pathOf(url) {
  const [, path] = /^(?:git\+)?https:\/\/github\.com\/([\w.-]+\/[\w.-]+?)(?:\.git)?\/?$/.exec(url) ?? [];
  if (path === undefined) throw new Error(`not the address of a repository on GitHub: ${url}`);
  return path;
}

/** A text with another repository: links, and the image, whose name has no capitals. */
export const withRepository = (text, from, to) =>
  text
    .replaceAll(new RegExp(`(github\\.com/)${escaped(from)}(?![\\w-])`, 'g'), `$1${to}`)
    .replaceAll(
      new RegExp(`(ghcr\\.io/)${escaped(from.toLowerCase())}(?![\\w-])`, 'g'),
      `$1${to.toLowerCase()}`,
    );

/** The text before the name of the package where it is installed, started or imported. */
const BEFORE = [
  String.raw`\bnpx (?:-y )?`,
  String.raw`\bnpm install (?:-g )?`,
  String.raw`["']-y["'],\s*["']`,
  String.raw`^\s*- -y\n\s*- `,
  String.raw`unpkg\.com/`,
  String.raw`\bfrom ["']`,
  String.raw`\b(?:import|require)\(\s*["']`,
  "^export const PACKAGE_NAME = '",
  '^ {0,6}"name": "',
];

/** A text with another package. The command, the folders and the logs keep their name. */
export const withPackage = (text, from, to) =>
  text.replaceAll(new RegExp(`(${BEFORE.join('|')})${escaped(from)}(?![\\w-])`, 'gm'), `$1${to}`);

function main() {
  const { values } = parseArgs({ options: { repository: { type: 'string' }, package: { type: 'string' } } });
  const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
  const from = pathOf(manifest.repository.url);
  const to = pathOf(values.repository ?? manifest.repository.url);
  const name = values.package ?? manifest.name;
  const files = execFileSync('git', ['ls-files', '-z'], { encoding: 'utf8' }).split('\0').filter(Boolean);
  for (const file of files) {
    const text = readFileSync(file, 'utf8');
    const changed = withPackage(withRepository(text, from, to), manifest.name, name);
    if (changed === text) continue;
    writeFileSync(file, changed);
    console.log(file);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
