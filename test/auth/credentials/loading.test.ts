import { build } from 'esbuild';
import { expect, test } from 'vitest';

test('importing the credential provider loads no package: the SDK is loaded by the first provider that needs it', async () => {
  const { metafile } = await build({
    entryPoints: {
      provider: 'src/auth/credentials/caching-provider.ts',
      files: 'src/auth/credentials/shared-files.ts',
    },
    outdir: 'never-written',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  const reached = new Set<string>();
  const visit = (output: string): void => {
    if (reached.has(output)) return;
    reached.add(output);
    for (const { path, kind } of metafile.outputs[output]?.imports ?? []) {
      if (kind === 'import-statement' && path in metafile.outputs) visit(path);
    }
  };
  for (const [output, { entryPoint }] of Object.entries(metafile.outputs)) {
    if (entryPoint?.startsWith('src/auth/credentials/') && /(provider|files)\.js$/.test(output))
      visit(output);
  }
  const inputs = [...reached].flatMap((output) => Object.keys(metafile.outputs[output]?.inputs ?? {}));
  expect(inputs).toContain('src/auth/credentials/caching-provider.ts');
  expect(inputs.filter((input) => input.includes('node_modules'))).toEqual([]);
});
