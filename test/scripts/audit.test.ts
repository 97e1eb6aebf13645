import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { afterThisTest } from '../support/cleanup.ts';

interface Advisory {
  readonly severity: string;
  readonly title: string;
}

const ROOT = new URL('../../', import.meta.url);

const versionOf = (name: string): string =>
  (
    JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, ROOT), 'utf8')) as {
      version: string;
    }
  ).version;

/** A registry whose audit endpoint knows these advisories; undefined: it has no such endpoint. */
async function startRegistry(advisories: Readonly<Record<string, Advisory>> | undefined): Promise<string> {
  const found = Object.entries(advisories ?? {}).map(([name, advisory], at) => [
    name,
    [{ id: at + 1, url: `https://example.com/${at}`, vulnerable_versions: '*', cwe: [], ...advisory }],
  ]);
  const server = createServer((request, response) => {
    const { url = '' } = request;
    request.resume().on('end', () => {
      if (advisories && url.endsWith('/advisories/bulk'))
        response.end(JSON.stringify(Object.fromEntries(found)));
      else if (request.method === 'GET') {
        const name = decodeURIComponent(url.slice(1));
        const version = versionOf(name);
        response.end(JSON.stringify({ name, versions: { [version]: { name, version } } }));
      } else response.writeHead(405).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterThisTest(() => void server.close());
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/`;
}

async function audit(registry: string): Promise<{ readonly code: number; readonly stdout: string }> {
  const env = { ...process.env, npm_config_registry: registry, npm_config_fetch_retries: '0' };
  return new Promise((resolve) => {
    execFile(process.execPath, ['scripts/audit.mjs'], { cwd: ROOT, env }, (error, stdout) =>
      resolve({ code: error ? Number(error.code) : 0, stdout }),
    );
  });
}

describe('npm run audit', () => {
  it('npm run audit fails if a bundled package has an advisory of severity high', async () => {
    const registry = await startRegistry({
      undici: { severity: 'high', title: 'request smuggling' },
      pino: { severity: 'moderate', title: 'slow' },
      esbuild: { severity: 'critical', title: 'of the build only' },
    });
    const { code, stdout } = await audit(registry);
    expect(stdout).toContain('\nbundled: undici: high: request smuggling (https://example.com/0)\n');
    expect(stdout).toContain('not bundled: esbuild: critical: of the build only');
    expect(stdout).toContain('1 of severity high or critical in the bundle');
    expect(code).toBe(1);
  });

  it('npm run audit passes if serious advisories concern packages that are not bundled', async () => {
    const registry = await startRegistry({
      esbuild: { severity: 'critical', title: 'of the build only' },
      zod: { severity: 'low', title: 'slow' },
    });
    const { code, stdout } = await audit(registry);
    expect(stdout).toContain('0 of severity high or critical in the bundle');
    expect(code).toBe(0);
  });

  it('npm run audit passes with a note that nothing was audited if the registry has no audit endpoint', async () => {
    const { code, stdout } = await audit(await startRegistry(undefined));
    expect(stdout).toMatch(/^not audited, because the registry did not answer the audit request: 405/);
    expect(code).toBe(0);
  });
});
