import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Keychain } from '../../../src/auth/oauth/keychain.ts';
import type { LoginRecord } from '../../../src/auth/oauth/login-record.ts';
import { LoginStore, type StoreKind } from '../../../src/auth/oauth/login-store.ts';
import { systemClock } from '../../../src/core/time/clock.ts';

const endpoint = new URL('https://mcp.example.com/mcp');
const record: LoginRecord = {
  endpoint: endpoint.href,
  login: 'one',
  tokens: { access_token: 'a'.repeat(100_000), refresh_token: 'r', token_type: 'Bearer', receivedAt: 0 },
};

describe('the store of logins', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'mcp-logins-'));
  });
  afterEach(() => rmSync(home, { recursive: true }));

  const open = (kind: StoreKind = 'file', keychain?: Keychain, profile = ''): LoginStore =>
    new LoginStore({
      folder: join(home, 'oauth'),
      identity: { endpoint, clientId: undefined, issuer: undefined, profile },
      kind,
      clock: systemClock,
      keychain: async () => keychain,
    });
  const signal = new AbortController().signal;

  it('a login of 100 kB is stored in a file that only its owner can read, and found again', async () => {
    const store = open();
    expect(store.stamp).toBe('');
    expect(await store.write(record)).toBe('file');
    expect(statSync(store.path).mode & 0o777).toBe(0o600);
    expect(statSync(join(home, 'oauth')).mode & 0o777).toBe(0o700);
    expect(await open().read()).toMatchObject(record);
    expect(await open('file', undefined, 'other').read()).toBeUndefined();
    expect(readdirSync(join(home, 'oauth'))).toHaveLength(1);
    expect(await store.remove()).toBe(true);
    expect(await store.read()).toBeUndefined();
  });

  it('a login that other users can read is refused with the remedy', async () => {
    const store = open();
    await store.write(record);
    chmodSync(store.path, 0o644);
    await expect(store.read()).rejects.toThrow(/other users can read .* chmod 600/);
  });

  it('a login file with other content is no login', async () => {
    const store = open();
    await store.write(record);
    for (const content of ['', '{', '[]', '{"endpoint":1}', '{"endpoint":"x","tokens":{"access_token":1}}']) {
      writeFileSync(store.path, content);
      expect(await store.read(), content).toBeUndefined();
    }
  });

  it('a keychain keeps the secrets, and the file keeps none', async () => {
    const kept = new Map<string, string>();
    const keychain: Keychain = {
      get: async (account) => kept.get(account),
      set: async (account, secret) => void kept.set(account, secret),
      delete: async (account) => void kept.delete(account),
    };
    const store = open('auto', keychain);
    expect(await store.write(record)).toBe('keychain');
    expect(await open().read()).not.toHaveProperty('tokens.access_token');
    expect(await open('auto', keychain).read()).toEqual(record);
    await store.remove();
    expect(kept.size).toBe(0);
  });

  it('a keychain that fails is replaced by the file, unless only the keychain is allowed', async () => {
    const locked = async (): Promise<never> => {
      throw new Error('locked');
    };
    const keychain: Keychain = { get: locked, set: locked, delete: locked };
    expect(await open('auto', keychain).write(record)).toBe('file');
    await expect(open('keychain', keychain).write(record)).rejects.toThrow(/keychain cannot be used: locked/);
    await expect(open('keychain', keychain).check()).rejects.toThrow(/keychain cannot be used: locked/);
    await expect(open('auto', keychain).check()).resolves.toBeUndefined();
    await expect(open('keychain').write(record)).rejects.toThrow(/@napi-rs\/keyring is not installed/);
  });

  it('the lock admits one at a time, in whatever order they come', async () => {
    let inside = 0;
    const seen: number[] = [];
    const work = async (): Promise<void> => {
      seen.push(++inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    };
    await Promise.all([1, 2, 3].map(() => open().locked(signal, work)));
    expect(seen).toEqual([1, 1, 1]);
    expect(readdirSync(join(home, 'oauth'))).toEqual([]);
  });

  it('the lock of a process that has ended is removed, and that of a living one is respected', async () => {
    const store = open();
    await store.locked(signal, async () => undefined);
    const { pid } = spawnSync(process.execPath, ['-e', '0']);
    writeFileSync(`${store.path}.lock`, JSON.stringify({ pid, host: hostname(), id: 'x' }));
    expect(await store.locked(signal, async () => 'done')).toBe('done');
    writeFileSync(`${store.path}.lock`, JSON.stringify({ pid: process.ppid, host: hostname(), id: 'x' }));
    const leaving = new AbortController();
    const waiting = store.locked(leaving.signal, async () => 'done');
    setImmediate(() => leaving.abort(new Error('left')));
    await expect(waiting).rejects.toThrow('left');
  });
});
