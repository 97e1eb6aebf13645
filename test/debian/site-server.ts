import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const OUT = join(ROOT, 'site/dist');
/** GitHub Pages serves the site of a repository below its name. */
const BASE = '/mcp-sigv4-proxy/';

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

/** Builds the site as npm run docs:site does. Throws with the output if the build fails. */
export function buildSite(): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['site/build.mjs'], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, DOCS_BASE: BASE },
  });
  if (status !== 0) throw new Error(`the site was not built:\n${stdout}${stderr}`);
}

/** The pages of the built site, by path relative to its root. */
export const sitePages = (): string[] =>
  readdirSync(OUT, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.html'));

export const sitePage = (path: string): string => readFileSync(join(OUT, path), 'utf8');

/** A file server for the built site. */
export async function serveSite(): Promise<{ readonly url: string; readonly close: () => void }> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '', 'http://site').pathname);
    const file = path.replace(BASE, '').replace(/(^|\/)$/, '$1index.html');
    try {
      if (!path.startsWith(BASE)) throw new Error('outside of the site');
      const body = readFileSync(join(OUT, file));
      response.setHeader('content-type', MEDIA_TYPES[extname(file)] ?? 'application/octet-stream').end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${BASE}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
