import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publint } from 'publint';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from './source-tree.ts';

/** docs/releasing.md states it. */
const MAX_PACKED_BYTES = 1_750_000;

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const manifest = JSON.parse(read('package.json')) as {
  readonly version: string;
  readonly scripts: Readonly<Record<string, string>>;
};

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'release-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly strategy?: { readonly matrix?: Readonly<Record<string, readonly string[]>> };
        readonly steps?: readonly { readonly run?: string; readonly uses?: string }[];
      }
    >
  >;
}

const FOLDER = '.github/workflows';
const workflows = readdirSync(join(ROOT, FOLDER)).map(
  (name) => [name, parse(read(`${FOLDER}/${name}`)) as Workflow] as const,
);

/** The npm scripts and files of the repository that a workflow runs. */
function referencesOf({ jobs }: Workflow): { readonly scripts: string[]; readonly files: string[] } {
  const scripts: string[] = [];
  const files: string[] = [];
  for (const { strategy, steps = [] } of Object.values(jobs)) {
    for (const { run = '' } of steps) {
      for (const [, name = ''] of run.matchAll(/npm run (\S+)/g))
        if (!name.startsWith('$')) scripts.push(name);
      if (run.includes('matrix.suite'))
        scripts.push(...(strategy?.matrix?.suite ?? []).map((suite) => suite.split(' ')[0] ?? ''));
      for (const [, file = ''] of run.matchAll(/node (scripts\/\S+)/g)) files.push(file);
    }
  }
  return { scripts, files };
}

describe.each(workflows)('the workflow %s', (_name, workflow) => {
  it('a workflow runs only npm scripts and files that exist', () => {
    const { scripts, files } = referencesOf(workflow);
    expect(scripts.filter((script) => !(script in manifest.scripts))).toEqual([]);
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  });

  it('a workflow may only read the repository unless one job states more', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' });
  });

  it("a workflow pins each action that is not GitHub's own analysis to a commit", () => {
    const uses = Object.values(workflow.jobs).flatMap(({ steps = [] }) =>
      steps.flatMap((step) => step.uses ?? []),
    );
    const pinned = /^(actions\/[a-z-]+@[0-9a-f]{40}|github\/codeql-action\/[a-z]+@v\d+)$/;
    expect(uses.filter((each) => !pinned.test(each))).toEqual([]);
  });
});

it('the guard of the workflows finds a script that does not exist', () => {
  const steps = [{ run: 'npm run no-such-script && node scripts/none.mjs' }];
  expect(referencesOf({ jobs: { test: { steps } } })).toEqual({
    scripts: ['no-such-script'],
    files: ['scripts/none.mjs'],
  });
});

describe('release notes', () => {
  /** A copy of the script with a manifest and a changelog of its own. */
  function notesOf(tag: string, changelog: string, version = '1.2.3') {
    const folder = temporaryFolder();
    cpSync(join(ROOT, 'scripts/release-notes.mjs'), join(folder, 'scripts/release-notes.mjs'));
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ version }));
    writeFileSync(join(folder, 'CHANGELOG.md'), changelog);
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(folder, 'scripts/release-notes.mjs'), tag],
      { encoding: 'utf8' },
    );
    return { status, stdout, stderr };
  }

  const CHANGELOG =
    '# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-02\n\n### Fixed\n\n- A fault.\n\n## [1.2.2]\n\n- Old.\n';

  it('release notes are the section of the version in CHANGELOG.md', () => {
    expect(notesOf('v1.2.3', CHANGELOG)).toEqual({
      status: 0,
      stdout: '### Fixed\n\n- A fault.\n',
      stderr: '',
    });
  });

  it.each([
    ['1.2.3', CHANGELOG, '1.2.3', 'form v1.2.3'],
    ['', CHANGELOG, '1.2.3', 'form v1.2.3'],
    ['v1.2.4', CHANGELOG, '1.2.3', 'npm version 1.2.4'],
    ['v1.2.3', '## [Unreleased]\n\n- A fault.\n', '1.2.3', 'no section "## [1.2.3]"'],
    ['v1.2.3', '## [1.2.3]\n\n## [1.2.2]\n\n- Old.\n', '1.2.3', 'is empty'],
  ])('release notes fail for the tag "%s" with the remedy', (tag, changelog, version, remedy) => {
    const { status, stdout, stderr } = notesOf(tag, changelog, version);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain(remedy);
  });
});

describe('the package', () => {
  it('publint finds no fault in the package', async () => {
    const { messages } = await publint({ pkgDir: ROOT, strict: true, pack: false });
    expect(messages).toEqual([]);
  });

  it('docs/releasing.md states the bound of the package that this guard checks', () => {
    expect(read('docs/releasing.md')).toContain(`under ${MAX_PACKED_BYTES / 1e6} MB`);
  });

  it('the packed package stays under 1.75 MB and contains what its manifest points to', () => {
    const packed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    const [{ size, files }] = JSON.parse(packed) as [
      { readonly size: number; readonly files: readonly { readonly path: string }[] },
    ];
    expect(size).toBeLessThan(MAX_PACKED_BYTES);
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining([
        'bin/mcp-sigv4-proxy.js',
        'dist/index.js',
        'dist/sbom.cdx.json',
        'README.md',
        'LICENSE',
      ]),
    );
    expect(paths.filter((path) => /^(src|test|bench|scripts|node_modules)\//.test(path))).toEqual([]);
  });
});

describe('the container image', () => {
  it('the files that the image contains are enough to start the proxy', () => {
    const folder = temporaryFolder();
    const copied = [...read('Dockerfile').matchAll(/^COPY --from=build \/src\/(\S+) \.\/(\S*)$/gm)];
    expect(copied.length).toBeGreaterThan(0);
    for (const [, source = '', target = ''] of copied)
      cpSync(join(ROOT, source), join(folder, target || source), { recursive: true });
    const [, program = ''] = /"\/app\/(bin\/[^"]+)"\]/.exec(read('Dockerfile')) ?? [];
    const version = execFileSync(process.execPath, [join(folder, program), '--version'], {
      env: {},
      encoding: 'utf8',
    });
    expect(version).toContain(manifest.version);
  });
});
