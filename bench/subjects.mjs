// The measured programs, and how each is started.
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** More than 8 calls under way share 8 connections; the peers have no such setting and open as many as they like. */
export const CONNECTIONS = 8;

const scope = { service: 'execute-api', region: 'eu-west-1' };
const credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};
export const direct = { connections: CONNECTIONS, scope, credentials };

const profileLines = (name) =>
  `[${name}]\naws_access_key_id = ${credentials.accessKeyId}\naws_secret_access_key = ${credentials.secretAccessKey}\n`;

/** npm's command of a peer, or the library where the command cannot do it. */
const PEERS = [
  { key: 'mcp-remote', args: (url) => [url, '--allow-http', '--transport', 'http-only', '--silent'] },
  { key: 'mcp-proxy', start: './mcp-proxy-client.mjs', args: (url) => [url] },
  { key: 'supergateway', args: (url) => ['--streamableHttp', url, '--logLevel', 'none'] },
];

/**
 * @param {string} url - of the server.
 * @param {string} workspace - an empty directory for homes and snapshots.
 * @param {readonly string[]} also - other checkouts of this project, with a build: to compare versions of it in one run.
 */
export async function listSubjects(url, workspace, also) {
  const home = join(workspace, 'home');
  await mkdir(join(home, '.aws'), { recursive: true });
  await writeFile(join(home, '.aws/credentials'), ['one', 'two'].map(profileLines).join(''));
  // Nothing of whoever runs the bench: no AWS_PROFILE, NODE_OPTIONS or HTTP proxy.
  const env = { PATH: process.env.PATH, HOME: home };
  const signing = {
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
  const ours = async (key, folder) => {
    // A copy, so that a build in the meantime does not change what is measured.
    const copy = join(workspace, key);
    for (const part of ['bin', 'dist', 'package.json']) {
      await cp(join(folder, part), join(copy, part), { recursive: true });
    }
    const flags = ['--service', scope.service, '--region', scope.region, '--max-connections', CONNECTIONS];
    const args = [join(copy, 'bin/mcp-sigv4-proxy.js'), url, ...flags.map(String)];
    return { key, kind: 'proxy', args, env: { ...env, ...signing }, version: await versionIn(copy) };
  };
  return [
    { key: 'node', kind: 'node', env },
    { key: 'direct', kind: 'direct', env },
    { key: 'smallest', kind: 'floor', args: [here('./smallest-proxy.mjs'), url, String(CONNECTIONS)], env },
    await ours('mcp-sigv4-proxy', here('..')),
    ...(await Promise.all(also.map((folder, at) => ours(`also-${at + 1}`, folder)))),
    ...(await Promise.all(PEERS.map((peer) => peerSubject(peer, url, env)))),
  ];
}

const manifestIn = async (folder) => JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
const versionIn = async (folder) => (await manifestIn(folder)).version;

async function peerSubject({ key, start, args }, url, env) {
  try {
    const folder = here(`node_modules/${key}`);
    const { version, bin } = await manifestIn(folder);
    const script = start ? here(start) : join(folder, typeof bin === 'string' ? bin : bin[key]);
    return { key, kind: 'proxy', peer: true, version, args: [script, ...args(url)], env };
  } catch {
    return { key, kind: 'proxy', peer: true, problem: 'not installed: run `npm ci` in bench/ first' };
  }
}
