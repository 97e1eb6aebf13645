// Fails where a package in the bundle has a known vulnerability of severity high or critical.
// Findings in packages that are only used to build and test are printed. A registry without
// an audit endpoint, or one that cannot be reached, does not fail the audit.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const SERIOUS = new Set(['high', 'critical']);
const AUDIT_LIMIT_MS = 120_000;

const { stdout, stderr } = spawnSync('npm', ['audit', '--json'], {
  encoding: 'utf8',
  shell: process.platform === 'win32',
  timeout: AUDIT_LIMIT_MS,
});

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

const { vulnerabilities, message } = parsed(stdout);
if (!vulnerabilities) {
  const reason = message ?? stderr.trim().split('\n').at(-1);
  console.log(`not audited, because the registry did not answer the audit request: ${reason}`);
  process.exit(0);
}

const { components } = JSON.parse(readFileSync('dist/sbom.cdx.json', 'utf8'));
const bundled = new Set(
  components.map(({ group, name, version }) => `${group ? `${group}/` : ''}${name}@${version}`),
);
const versionAt = (node) => JSON.parse(readFileSync(join(node, 'package.json'), 'utf8')).version;

/**
 * `via` holds advisories of the package itself as objects, and names of vulnerable dependencies as
 * strings.
 */
const findings = Object.values(vulnerabilities).flatMap(({ name, via, nodes }) =>
  via
    .filter((advisory) => typeof advisory === 'object')
    .map(({ severity, title, url }) => {
      const isBundled = nodes.some((node) => bundled.has(`${name}@${versionAt(node)}`));
      return {
        text: `${name}: ${severity}: ${title} (${url})`,
        fails: isBundled && SERIOUS.has(severity),
        isBundled,
      };
    }),
);
for (const { text, isBundled } of findings) console.log(`${isBundled ? 'bundled' : 'not bundled'}: ${text}`);
const failures = findings.filter(({ fails }) => fails).length;
console.log(`${findings.length} advisories, ${failures} of severity high or critical in the bundle`);
process.exitCode = failures > 0 ? 1 : 0;
