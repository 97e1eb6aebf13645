import { expect, it } from 'vitest';
import { sourceFiles, sourceText } from './source-tree.ts';

const mentioning = (pattern: RegExp): string[] =>
  sourceFiles().filter((file) => pattern.test(sourceText(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')));

it('stdout has one writer, because one stray byte breaks the protocol', () => {
  expect(mentioning(/process\s*\.\s*stdout|\bfd:\s*1\b/)).toEqual(['client/stdio/stdout.ts']);
});

it('the console is never used to print', () => {
  expect(mentioning(/\bconsole\s*\./)).toEqual([]);
});

it('the demo shares no code with what it demonstrates', () => {
  const demo = sourceFiles().filter((file) => file.startsWith('demo/'));
  expect(demo.length).toBeGreaterThan(2);
  for (const file of demo) expect(sourceText(file)).not.toMatch(/@smithy|@aws-sdk|\.\.\/(?:auth|endpoint)\//);
});

it('undici is imported in one place', () => {
  expect(mentioning(/from ['"]undici/)).toEqual(['upstream/http/undici.ts']);
});
