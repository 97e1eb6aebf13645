import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const writtenAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

function newest(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return Math.max(...files.map((file) => writtenAt(join(folder, file))));
}

/** End-to-end tests spawn the real bin, so what they spawn must be what stands in src. */
export default function setup(): void {
  if (writtenAt('dist/start.cjs') > Math.max(newest('src'), writtenAt('scripts/build.mjs'))) return;
  execFileSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' });
}
