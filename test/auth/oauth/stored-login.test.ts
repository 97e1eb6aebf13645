import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LoginRecord } from '../../../src/auth/oauth/login-record.ts';
import { LoginStore } from '../../../src/auth/oauth/login-store.ts';
import { createOAuthFetch, type Fetch } from '../../../src/auth/oauth/oauth-fetch.ts';
import { loadOAuthSdk } from '../../../src/auth/oauth/sdk.ts';
import { MAX_EARLY_WAIT_MS, MAX_RENEWAL_MS, StoredLogin } from '../../../src/auth/oauth/stored-login.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { codeLoginSettings } from '../../support/oauth-settings.ts';

const ISSUER = 'https://login.example.com';
const endpoint = new URL('https://mcp.example.com/mcp');
const settings = codeLoginSettings(endpoint);
const METADATA = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  response_types_supported: ['code'],
};
const hour = 3_600_000;
const { signal } = new AbortController();

describe('the tokens of a stored login', () => {
  let folder: string;
  let clock: FakeClock;
  let issued: number;
  let identityChanges: number;
  let events: ProxyEvent[];
  /** Answers the token endpoint. */
  let answer: (init: RequestInit | undefined) => Promise<Response>;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'mcp-stored-login-'));
    clock = new FakeClock();
    issued = 0;
    identityChanges = 0;
    events = [];
    answer = async () =>
      Response.json({
        access_token: `renewed-${++issued}`,
        token_type: 'bearer',
        expires_in: 3600,
        refresh_token: `refresh-${issued}`,
      });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const store = (): LoginStore => new LoginStore({ folder, identity: { ...settings }, kind: 'file', clock });
  const open = (from = store()): StoredLogin => {
    const observed = new Events();
    observed.subscribe((event) => void events.push(event), { detailed: false });
    const fetch: Fetch = async (url, init) =>
      new URL(url).pathname === '/token' ? answer(init) : Response.json(METADATA);
    return new StoredLogin(from, {
      settings,
      clock,
      events: observed,
      deps: async (ends) => ({
        settings,
        sdk: await loadOAuthSdk(),
        fetch: createOAuthFetch(fetch, endpoint, ends),
      }),
      onIdentityChange: () => identityChanges++,
    });
  };
  const record = (over: Partial<LoginRecord> = {}): LoginRecord => ({
    endpoint: endpoint.href,
    login: 'one',
    client: { client_id: 'c', issuer: ISSUER },
    authorizationServer: ISSUER,
    tokens: {
      access_token: 'first',
      refresh_token: 'refresh-0',
      token_type: 'Bearer',
      scope: 'mcp',
      issuer: ISSUER,
      receivedAt: clock.now(),
      expiresAt: clock.now() + hour,
    },
    ...over,
  });
  const textOf = async (login: StoredLogin) =>
    (login.usable() ?? (await login.current(signal)))?.authorization;

  it('a token is renewed five minutes before its end, and keeps its scope and login', async () => {
    await store().write(record());
    const login = open();
    expect(await textOf(login)).toBe('Bearer first');
    await clock.advance(hour - 301_000);
    expect(login.usable()?.authorization).toBe('Bearer first');
    await clock.advance(2_000);
    expect(login.usable()).toBeUndefined();
    expect(await textOf(login)).toBe('Bearer renewed-1');
    expect((await store().read())?.tokens).toMatchObject({ refresh_token: 'refresh-1', scope: 'mcp' });
    expect(login.principal).toBe('oauth one');
    expect(identityChanges).toBe(0);
  });

  it('a token endpoint that hangs delays calls while the token is valid, and fails them after it', async () => {
    await store().write(record());
    const login = open();
    await textOf(login);
    answer = (init) =>
      new Promise((_resolve, reject) => {
        const { signal: ends } = init ?? {};
        if (ends?.aborted) reject(ends.reason);
        ends?.addEventListener('abort', () => reject(ends.reason));
      });
    await clock.advance(hour - 100_000);
    const early = textOf(login);
    await clock.advance(MAX_EARLY_WAIT_MS);
    expect(await early).toBe('Bearer first');
    await clock.advance(MAX_RENEWAL_MS);
    // The lock is a file, so that the end of the attempt needs real turns.
    await vi.waitFor(() =>
      expect(events.find(({ type }) => type === 'credentials.refresh-failed')).toMatchObject({
        message: expect.stringContaining('no answer within 60 s'),
      }),
    );
    await clock.advance(hour);
    const late = expect(textOf(login)).rejects.toMatchObject({ reason: 'no-credentials', sent: 'no' });
    await clock.advance(MAX_RENEWAL_MS);
    await late;
    expect((await store().read())?.tokens?.refresh_token).toBe('refresh-0');
  });

  it('a clock that is set back or forward changes only the time of the renewal', async () => {
    await store().write(record());
    const login = open();
    await textOf(login);
    clock.jump(-24 * hour);
    await clock.advance(1_000);
    expect(await textOf(login)).toBe('Bearer first');
    clock.jump(48 * hour);
    expect(await textOf(login)).toBe('Bearer renewed-1');
  });

  it('a login of another process is used within a second, as another identity', async () => {
    const login = open();
    expect(await textOf(login)).toBeUndefined();
    await store().write(record());
    expect(await textOf(login)).toBe('Bearer first');
    const { tokens } = record();
    await store().write(record({ login: 'two', tokens: tokens && { ...tokens, access_token: 'other' } }));
    expect(login.identityMayChange).toBe(true);
    await clock.advance(1_000);
    expect(await textOf(login)).toBe('Bearer other');
    expect(identityChanges).toBe(1);
    await store().remove();
    await clock.advance(1_000);
    await expect(textOf(login)).rejects.toMatchObject({ reason: 'login-required' });
  });

  it('a server that refuses every token causes one renewal in ten seconds', async () => {
    await store().write(record());
    const login = open();
    const token = await login.current(signal);
    const renewed = await login.replace(token, { error: 'invalid_token' }, signal);
    expect(renewed?.authorization).toBe('Bearer renewed-1');
    expect(await login.replace(renewed, {}, signal)).toBeUndefined();
    await clock.advance(10_000);
    expect((await login.replace(renewed, {}, signal))?.authorization).toBe('Bearer renewed-2');
  });

  it('an issuer that changes ends the login, and the refresh token is not sent', async () => {
    await store().write(record());
    const { tokens } = record();
    await store().write(record({ tokens: tokens && { ...tokens, issuer: 'https://old.example.com' } }));
    const login = open();
    const token = await login.current(signal);
    await expect(login.replace(token, {}, signal)).rejects.toMatchObject({
      reason: 'login-required',
      message: expect.stringContaining('has the issuer https://login.example.com now'),
    });
    expect(issued).toBe(0);
    expect((await store().read())?.tokens).toBeUndefined();
  });

  it('all calls during a refused renewal report why the login has ended', async () => {
    await store().write(record());
    const from = store();
    const login = open(from);
    const token = await login.current(signal);
    answer = async () => Response.json({ error: 'invalid_grant' }, { status: 400 });
    const ended = { reason: 'login-required', message: expect.stringMatching(/has ended: .*invalid_grant/) };
    // Other calls arrive before and after the file is written, while the renewal waits for it.
    const write = from.write.bind(from);
    let meanwhile: readonly unknown[] = [];
    from.write = async (written) => {
      const failureOf = () => login.replace(token, {}, signal).catch((error: unknown) => error);
      const early = failureOf();
      const place = await write(written);
      meanwhile = [early, failureOf()];
      await meanwhile[1];
      return place;
    };
    await expect(login.replace(token, {}, signal)).rejects.toMatchObject(ended);
    expect(await Promise.all(meanwhile)).toEqual([
      expect.objectContaining(ended),
      expect.objectContaining(ended),
    ]);
    await expect(login.current(signal)).rejects.toMatchObject(ended);
  });

  it.each([
    ['a token with a line break', { access_token: 'a\r\nx-evil: 1', token_type: 'Bearer' }, /no HTTP header/],
    ['a token of another type', { access_token: 'a', token_type: 'DPoP' }, /is not a Bearer token/],
  ])('an access token is refused if it is %s', async (_what, issuedTokens, problem) => {
    await store().write(record({ tokens: { ...issuedTokens, receivedAt: 0 } }));
    await expect(textOf(open())).rejects.toThrow(problem);
  });
});
