import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '../..');
const INSTALLED = join(import.meta.dirname, 'node_modules');

/** A project with the package, the packages of this folder and the examples. */
export class Project {
  readonly folder = mkdtempSync(join(tmpdir(), 'project-'));

  constructor() {
    const modules = join(this.folder, 'node_modules');
    mkdirSync(modules);
    for (const name of readdirSync(INSTALLED)) symlinkSync(join(INSTALLED, name), join(modules, name));
    // Copied: its imports of peers have to be found in this project.
    const own = join(modules, 'mcp-sigv4-proxy');
    mkdirSync(own);
    for (const name of ['package.json', 'dist'])
      cpSync(join(ROOT, name), join(own, name), { recursive: true });
    cpSync(join(ROOT, 'examples'), this.folder, { recursive: true });
  }

  /** Runs a program of the project to its end. */
  run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<{ stdout: string; stderr: string }> {
    const options = { cwd: this.folder, env: { PATH: process.env.PATH, ...env }, timeout: 50_000 };
    return promisify(execFile)(process.execPath, args, options);
  }

  clear(): void {
    rmSync(this.folder, { recursive: true });
  }
}
