// Writes the section of CHANGELOG.md for a version to stdout: the notes of its release.
//   node scripts/release-notes.mjs v1.2.3
// Fails where the tag, package.json and CHANGELOG.md do not name the same version.
import { readFileSync } from 'node:fs';

const fail = (text) => {
  process.stderr.write(`${text}\n`);
  process.exit(1);
};

const tag = process.argv[2] ?? '';
const version = /^v(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)$/.exec(tag)?.[1];
if (!version) fail(`The tag must have the form v1.2.3; it is "${tag}".`);

const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const manifest = JSON.parse(read('package.json'));
if (manifest.version !== version)
  fail(
    `package.json has version ${manifest.version}, and the tag ${tag}: run "npm version ${version}" first.`,
  );

const changelog = read('CHANGELOG.md');
const heading = new RegExp(`^## \\[${version.replaceAll('.', '\\.')}\\].*$`, 'm').exec(changelog);
if (!heading) fail(`CHANGELOG.md has no section "## [${version}]": rename "## [Unreleased]" to it.`);
const rest = changelog.slice(heading.index + heading[0].length);
const notes = rest.slice(0, /^## /m.exec(rest)?.index ?? rest.length).trim();
if (!notes) fail(`The section "## [${version}]" of CHANGELOG.md is empty.`);
process.stdout.write(`${notes}\n`);
