import { execFileSync } from 'node:child_process';

/** End-to-end tests spawn the real bin, so what they spawn must be what stands in src. */
export default function setup(): void {
  execFileSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' });
}
