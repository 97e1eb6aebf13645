import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Version } from '@cyclonedx/cyclonedx-library/Spec';
import { JsonStrictValidator } from '@cyclonedx/cyclonedx-library/Validation';
import { expect, it } from 'vitest';
import { PACKAGE_NAME } from '../../src/version.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
const sbom = read('dist/sbom.cdx.json');

interface Component {
  readonly group?: string;
  readonly name: string;
  readonly version?: string;
  readonly purl?: string;
  readonly licenses?: readonly unknown[];
}

const document = JSON.parse(sbom) as {
  readonly metadata: { readonly component: Component; readonly timestamp?: string };
  readonly serialNumber?: string;
  readonly components: readonly Component[];
};
const nameOf = ({ group, name, version }: Component): string =>
  `${group === undefined ? '' : `${group}/`}${name} ${version}`;

it('the SBOM of the bundle is valid CycloneDX 1.6, and a violation would be found', async () => {
  const validator = new JsonStrictValidator(Version.v1dot6);
  expect(await validator.validate(sbom)).toBeNull();
  const wrong = sbom.replace('"type": "library"', '"type": "recipe"');
  expect(await validator.validate(wrong)).not.toBeNull();
});

it('the SBOM lists each bundled package once, with version, package URL and licence', () => {
  const { components, metadata } = document;
  expect(nameOf(metadata.component)).toBe(
    `${PACKAGE_NAME} ${(JSON.parse(read('package.json')) as Component).version}`,
  );
  const names = components.map(nameOf);
  expect(new Set(names).size).toBe(names.length);
  for (const component of components) {
    expect(component.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(component.purl).toMatch(/^pkg:npm\//);
    expect(component.licenses).toHaveLength(1);
  }
  for (const name of ['undici', 'pino', 'zod', '@modelcontextprotocol/client', '@smithy/core']) {
    expect(names.some((each) => each.startsWith(`${name} `))).toBe(true);
  }
});

it('each package of the SBOM has its licence text in THIRD-PARTY-LICENSES.txt', () => {
  const licences = read('dist/THIRD-PARTY-LICENSES.txt');
  const missing = document.components.map(nameOf).filter((name) => !licences.includes(`${name} (`));
  expect(missing).toEqual([]);
});

it('the SBOM has no time, no random number and no path of this machine, so that builds can be compared', () => {
  expect(document.metadata.timestamp).toBeUndefined();
  expect(document.serialNumber).toBeUndefined();
  expect(sbom).not.toContain(ROOT.pathname);
});

it('npm packs the SBOM', () => {
  const options = { cwd: ROOT, encoding: 'utf8', shell: process.platform === 'win32' } as const;
  const packed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], options);
  const [{ files }] = JSON.parse(packed) as [{ readonly files: readonly { readonly path: string }[] }];
  expect(files.map(({ path }) => path)).toContain('dist/sbom.cdx.json');
});
