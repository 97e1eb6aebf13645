import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BinDriver } from '../support/bin-driver.ts';
import { afterThisTest } from '../support/cleanup.ts';
import { SessionServer } from '../support/mcp-behaviours.ts';
import { ScriptedServer } from '../support/scripted-server.ts';
import { signingArgs, signingEnv, signingVerify } from '../support/signing.ts';

const isRoot = process.getuid?.() === 0;
const STRANGER = 65_534;

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-trust-'));
  afterThisTest(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function serve() {
  const mcp = new SessionServer();
  const server = await ScriptedServer.start(mcp.behaviour, { verify: signingVerify });
  const initialized = (): number => server.of('initialize').length;
  return { server, initialized };
}

describe('a snapshot that another user may have written is not used', () => {
  /** One run writes the snapshot, and the file is changed; the next run must then open a session. */
  async function afterwards(tamper: (path: string, folder: string) => void, env = signingEnv) {
    const { server, initialized } = await serve();
    const cache = newFolder();
    const folder = join(cache, 'mcp-sigv4-proxy');
    const start = () =>
      BinDriver.start({
        args: [server.url, ...signingArgs, '--lazy', '--log-level', 'warn'],
        env: { ...env, XDG_CACHE_HOME: cache },
      });
    const first = start();
    await first.initialize({}, 0);
    await first.request('tools/list', {}, '');
    first.closeStdin();
    await first.exited;
    const [file = ''] = readdirSync(folder);
    expect(initialized()).toBe(1);
    tamper(join(folder, file), folder);
    const second = start();
    await second.initialize({}, -1);
    return { asked: initialized() - 1, stderr: () => second.stderr, second };
  }

  it('an unchanged snapshot is used', async () => {
    expect((await afterwards(() => undefined)).asked).toBe(0);
  });

  it.each<[how: string, tamper: (path: string, folder: string) => void, complaint: RegExp]>([
    ['writable by a group', (path) => chmodSync(path, 0o660), /other users can write to it/],
    ['writable by all', (path) => chmodSync(path, 0o606), /other users can write to it/],
    ['in a folder for all', (_path, folder) => chmodSync(folder, 0o777), /write to the folder/],
    ['in a shared folder such as /tmp', (_path, folder) => chmodSync(folder, 0o1777), /write to the folder/],
    [
      'below a folder for all',
      (_path, folder) => chmodSync(join(folder, '..'), 0o777),
      /every user can write to the folder/,
    ],
    [
      'a FIFO, which must not hold up the start',
      (path) => {
        rmSync(path);
        execFileSync('mkfifo', ['-m', '600', path]);
      },
      /not a regular file/,
    ],
    [
      'a device',
      (path) => {
        rmSync(path);
        symlinkSync('/dev/zero', path);
      },
      /not a regular file/,
    ],
    [
      'a folder',
      (path) => {
        rmSync(path);
        mkdirSync(path);
      },
      /not a regular file/,
    ],
    [
      'without the identity that signs, where that is known',
      (path) => {
        const { by, ...rest } = JSON.parse(readFileSync(path, 'utf8'));
        expect(by).toMatch(/^[\da-f]{64}$/);
        writeFileSync(path, JSON.stringify(rest));
      },
      /^$/,
    ],
  ])('a snapshot is not used if it is %s', async (_how, tamper, complaint) => {
    const { asked, second } = await afterwards(tamper);
    expect(asked).toBe(1);
    if (complaint.source !== '^$') await second.stderrMatching(complaint);
  });

  it.runIf(isRoot)('a snapshot is not used if it is owned by another user', async () => {
    const { asked, second } = await afterwards((path) => chownSync(path, STRANGER, STRANGER));
    expect(asked).toBe(1);
    await second.stderrMatching(/belongs to another user/);
  });

  it('a snapshot is not written to a folder that a relative XDG_CACHE_HOME names', async () => {
    const { server } = await serve();
    const bin = BinDriver.start({
      args: [server.url, ...signingArgs, '--lazy'],
      env: { ...signingEnv, XDG_CACHE_HOME: 'cache-here' },
    });
    await bin.initialize({}, 0);
    await bin.request('tools/list', {}, '');
    bin.closeStdin();
    await bin.exited;
    expect(readdirSync(process.cwd())).not.toContain('cache-here');
    const base = process.platform === 'darwin' ? 'Library/Caches' : '.cache';
    expect(readdirSync(join(bin.home, base, 'mcp-sigv4-proxy'))).toHaveLength(1);
  });
});

/** The logger is loaded with the first line. */
const filled = (file: string): Promise<void> =>
  expect
    .poll(() => statSync(file, { throwIfNoEntry: false })?.size ?? 0, { timeout: 20_000 })
    .toBeGreaterThan(0);

describe('--log-file', () => {
  const refused = async (path: string): Promise<string> => {
    const bin = BinDriver.start({ args: ['--log-file', path] });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toContain(
      '--log-file must be a regular file in a folder that no other user can write to, such as your home folder',
    );
    return bin.stderr;
  };

  it.each(['/dev/stderr', '/dev/fd/2', '/proc/self/fd/2'])('--log-file %s is stderr', async (path) => {
    const { server } = await serve();
    const bin = BinDriver.start({
      args: [server.url, ...signingArgs, '--log-level', 'debug', '--log-file', path],
      env: signingEnv,
    });
    expect(await bin.initialize({}, 0)).toHaveProperty('result');
    await bin.stderrMatching(/"msg":"http.request"/);
    for (const line of bin.lines) expect(JSON.parse(line)).toHaveProperty('jsonrpc');
  });

  it('--log-file refuses stdout, which carries messages, and the error names stderr', async () => {
    const bin = BinDriver.start({ args: ['--log-file', '/dev/stdout'] });
    expect(await bin.exit()).toEqual({ code: 2, signal: null });
    expect(bin.stderr).toContain('leave it out to log to stderr');
  });

  it('--log-file refuses a file in a shared folder', async () => {
    const shared = newFolder();
    chmodSync(shared, 0o1777);
    expect(await refused(join(shared, 'mcp.log'))).toContain('other users can write to the folder');
    expect(readdirSync(shared)).toEqual([]);
  });

  it('--log-file refuses a FIFO (without waiting for a reader), a device, a folder, and a file others can write to', async () => {
    const folder = newFolder();
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    expect(await refused(join(folder, 'fifo'))).toContain('not a regular file');
    expect(await refused('/dev/null')).toContain('not a regular file');
    mkdirSync(join(folder, 'folder'));
    expect(await refused(join(folder, 'folder'))).toContain('not a regular file');
    writeFileSync(join(folder, 'open'), '');
    chmodSync(join(folder, 'open'), 0o666);
    expect(await refused(join(folder, 'open'))).toContain('other users can write to it');
    expect(await refused(join(folder, 'missing', 'mcp.log'))).toContain('ENOENT');
  });

  it.runIf(isRoot)(
    '--log-file refuses a file of another user, and a link that another user has made',
    async () => {
      const folder = newFolder();
      writeFileSync(join(folder, 'theirs'), '');
      chownSync(join(folder, 'theirs'), STRANGER, STRANGER);
      expect(await refused(join(folder, 'theirs'))).toContain('belongs to another user');
      chownSync(folder, STRANGER, STRANGER);
      expect(await refused(join(folder, 'mine'))).toContain('belongs to another user');
    },
  );

  it.each([
    ['stdio', [], 'json'],
    ['stdio', [], 'pretty'],
    ['the listener', ['--listen', '127.0.0.1:0', '--stdio'], 'json'],
  ])(
    'SIGHUP reopens --log-file after a rotation, and no line is lost: %s %j %s',
    async (_front, more, format) => {
      const { server } = await serve();
      const file = join(newFolder(), 'mcp.log');
      const bin = BinDriver.start({
        args: [
          server.url,
          ...signingArgs,
          ...['--log-level', 'debug', '--log-file', file, '--log-format', format],
          ...more,
        ],
        env: signingEnv,
      });
      await bin.initialize({}, 0);
      await filled(file);
      renameSync(file, `${file}.1`);
      await bin.request('ping', undefined, 'into the former file');
      bin.kill('SIGHUP');
      await filled(file);
      const former = readFileSync(`${file}.1`, 'utf8');
      expect(readFileSync(file, 'utf8')).toContain('log.reopened');
      expect(statSync(file).mode & 0o777).toBe(0o600);
      await bin.request('tools/list', undefined, 'into the new file');
      expect(readFileSync(`${file}.1`, 'utf8')).toBe(former);
      expect(readFileSync(file, 'utf8')).toContain('tools.listed');
      bin.closeStdin();
      await bin.exited;
      expect(readFileSync(file, 'utf8')).toContain('client.gone');
    },
  );

  it('--log-file keeps the former file if the new one cannot be trusted', async () => {
    const { server } = await serve();
    const folder = newFolder();
    const file = join(folder, 'mcp.log');
    const bin = BinDriver.start({
      args: [server.url, ...signingArgs, '--log-level', 'info', '--log-file', file],
      env: signingEnv,
    });
    await bin.initialize({}, 0);
    await filled(file);
    chmodSync(folder, 0o777);
    bin.kill('SIGHUP');
    await expect.poll(() => readFileSync(file, 'utf8'), { timeout: 20_000 }).toContain('log.reopen-failed');
    expect(readFileSync(file, 'utf8')).toContain('every user can write to the folder');
  });
});
