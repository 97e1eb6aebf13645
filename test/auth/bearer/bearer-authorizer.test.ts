import { describe, expect, it } from 'vitest';
import { BearerAuthorizer, RENEWAL_PAUSE_MS } from '../../../src/auth/bearer/bearer-authorizer.ts';
import type { BearerSource } from '../../../src/auth/bearer/bearer-source.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { jwtOf } from '../../support/jwt.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
const MINUTE = 60_000;

const signal = (): AbortSignal => new AbortController().signal;
const refusal = (status = 401, challenge = '') =>
  ({ status, kind: 'oauth', message: '', challenge }) as const;

/** A JWT that ends so many minutes after the start. */
const endingIn = (minutes: number, sub = 'me'): string =>
  jwtOf({ iss: 'https://id.example', sub, exp: (START + minutes * MINUTE) / 1_000 });

/** A source whose next text, or failure, the test sets. */
class ScriptedSource implements BearerSource {
  readonly origin = 'the test';
  readonly remedy = 'Set another token.';
  readonly renews: boolean;
  text: string | Error;
  isChanged = false;
  reads = 0;
  /** Resolves to let a read go on. */
  gate: Promise<void> | undefined;

  constructor(text: string, renews = true) {
    this.text = text;
    this.renews = renews;
  }

  changed(): boolean {
    return this.isChanged;
  }

  async read(): Promise<string> {
    this.reads++;
    this.isChanged = false;
    const { text } = this;
    await this.gate;
    if (text instanceof Error) throw text;
    return text;
  }
}

function authorizerOf(source: ScriptedSource) {
  const clock = new FakeClock({ now: START });
  const events = new Events();
  const seen: ProxyEvent[] = [];
  events.subscribe((event) => seen.push(event), { detailed: false, secrets: true });
  let identityChanges = 0;
  const authorizer = new BearerAuthorizer({
    source,
    profile: 'p',
    clock,
    events,
    onIdentityChange: () => {
      identityChanges++;
    },
  });
  return { authorizer, clock, seen, identityChanges: () => identityChanges };
}

const tokenOf = async (authorizer: BearerAuthorizer): Promise<string> =>
  (await authorizer.current(signal())).token;

describe('the bearer authorizer', () => {
  it('a bearer token is read once for parallel requests, then returned without a promise', async () => {
    const source = new ScriptedSource('opaque');
    const { authorizer, seen } = authorizerOf(source);
    const both = await Promise.all([authorizer.current(signal()), authorizer.current(signal())]);
    expect(both.map(({ token }) => token)).toEqual(['opaque', 'opaque']);
    expect(authorizer.current(signal())).toBe(both[0]);
    expect(source.reads).toBe(1);
    expect(seen).toContainEqual({ type: 'secret.known', value: 'opaque' });
  });

  it('the headers of a request are the token, the host and the content type', async () => {
    const { authorizer } = authorizerOf(new ScriptedSource('abc'));
    const target = { host: 'h:1', path: '/', canonicalPath: '/', canonicalQuery: '' };
    const token = await authorizer.current(signal());
    expect(authorizer.authorize({ method: 'GET', target }, token)).toEqual({
      host: 'h:1',
      authorization: 'Bearer abc',
    });
    expect(authorizer.authorize({ method: 'POST', target, contentType: 'text/x' }, token)).toEqual({
      host: 'h:1',
      authorization: 'Bearer abc',
      'content-type': 'text/x',
    });
  });

  it('a JWT of a command is renewed in the background before its end, and no call waits', async () => {
    const source = new ScriptedSource(endingIn(60));
    const { authorizer, clock, identityChanges } = authorizerOf(source);
    const first = await tokenOf(authorizer);
    await clock.advance(54 * MINUTE);
    expect(await tokenOf(authorizer)).toBe(first);
    expect(source.reads).toBe(1);
    source.text = endingIn(120);
    await clock.advance(2 * MINUTE);
    expect(authorizer.current(signal())).toMatchObject({ token: first });
    await clock.advance(0);
    expect(await tokenOf(authorizer)).toBe(source.text);
    expect(source.reads).toBe(2);
    expect(identityChanges()).toBe(0);
  });

  it('a command that returns the same token before its end runs again only after a pause', async () => {
    const source = new ScriptedSource(endingIn(60));
    const { authorizer, clock } = authorizerOf(source);
    await tokenOf(authorizer);
    await clock.advance(59 * MINUTE + 55_000);
    for (let call = 0; call < 5; call++) {
      await tokenOf(authorizer);
      await clock.advance(0);
    }
    expect(source.reads).toBe(2);
    expect(RENEWAL_PAUSE_MS).toBeGreaterThan(5_000);
  });

  it('a JWT of a command is not sent after its end: the call waits for the next one', async () => {
    const source = new ScriptedSource(endingIn(10));
    const { authorizer, clock } = authorizerOf(source);
    await tokenOf(authorizer);
    await clock.advance(10 * MINUTE);
    expect(authorizer.identityMayChange).toBe(true);
    source.text = endingIn(20);
    expect(await tokenOf(authorizer)).toBe(source.text);
  });

  it('a JWT that arrives expired is sent, because the clock of this machine may be wrong', async () => {
    const source = new ScriptedSource(endingIn(-10));
    const { authorizer } = authorizerOf(source);
    expect(await tokenOf(authorizer)).toBe(source.text);
    expect(await tokenOf(authorizer)).toBe(source.text);
    expect(source.reads).toBe(1);
  });

  it('a JWT of a file is sent after its end, because only a change of the file brings another', async () => {
    const source = new ScriptedSource(endingIn(10), false);
    const { authorizer, clock } = authorizerOf(source);
    await tokenOf(authorizer);
    await clock.advance(20 * MINUTE);
    expect(await tokenOf(authorizer)).toBe(source.text);
    expect(source.reads).toBe(1);
  });

  it('a changed source is read again, and a token of another subject is another identity', async () => {
    const source = new ScriptedSource(endingIn(10), false);
    const { authorizer, identityChanges } = authorizerOf(source);
    await tokenOf(authorizer);
    source.text = endingIn(10, 'other');
    source.isChanged = true;
    expect(authorizer.identityMayChange).toBe(true);
    expect(await tokenOf(authorizer)).toBe(source.text);
    expect(identityChanges()).toBe(1);
    expect(authorizer.identityMayChange).toBe(false);
  });

  it('a changed source without a token leaves the last token in use, and reports it once', async () => {
    const source = new ScriptedSource('first', false);
    const { authorizer, seen } = authorizerOf(source);
    await tokenOf(authorizer);
    source.text = '';
    source.isChanged = true;
    expect(await tokenOf(authorizer)).toBe('first');
    expect(await tokenOf(authorizer)).toBe('first');
    const failures = seen.filter(({ type }) => type === 'credentials.refresh-failed');
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({ message: expect.stringContaining('it is empty') });
  });

  it('a source that fails gives an error that names it, and the next call reads again', async () => {
    const source = new ScriptedSource('x');
    source.text = new Error('it exited with code 1: not logged in');
    const { authorizer } = authorizerOf(source);
    await expect(authorizer.current(signal())).rejects.toMatchObject({
      reason: 'no-credentials',
      sent: 'no',
      message:
        'There is no bearer token in the test: it exited with code 1: not logged in. The request was not sent. Set another token.',
    });
    source.text = 'second';
    expect(await tokenOf(authorizer)).toBe('second');
  });

  it('a caller that leaves does not end the read for the others', async () => {
    const source = new ScriptedSource('abc');
    let open = (): void => undefined;
    source.gate = new Promise((resolve) => {
      open = resolve;
    });
    const { authorizer } = authorizerOf(source);
    const leaving = new AbortController();
    const left = authorizer.current(leaving.signal);
    const staying = tokenOf(authorizer);
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    open();
    expect(await staying).toBe('abc');
    expect(source.reads).toBe(1);
  });

  it('close ends a read, and no request starts another', async () => {
    const source = new ScriptedSource('abc');
    source.gate = new Promise(() => undefined);
    const { authorizer } = authorizerOf(source);
    void Promise.resolve(authorizer.current(signal())).catch(() => undefined);
    authorizer.close();
    await expect(authorizer.current(signal())).rejects.toMatchObject({ reason: 'shutting-down' });
    expect(source.reads).toBe(1);
  });
});

describe('a bearer token that the server refuses', () => {
  it('a 401 reads the source again, once for all callers, and returns another token', async () => {
    const source = new ScriptedSource('first');
    const { authorizer } = authorizerOf(source);
    const refused = await authorizer.current(signal());
    source.text = 'second';
    const answers = await Promise.all([
      authorizer.refresh(refused, refusal(), signal()),
      authorizer.refresh(refused, refusal(), signal()),
    ]);
    expect(answers.map((token) => token?.token)).toEqual(['second', 'second']);
    expect(source.reads).toBe(2);
    // A late refusal of the first token.
    expect((await authorizer.refresh(refused, refusal(), signal()))?.token).toBe('second');
    expect(source.reads).toBe(2);
  });

  it('a 401 for a token that the source returns again leads to no other attempt', async () => {
    const source = new ScriptedSource('first');
    const { authorizer } = authorizerOf(source);
    const refused = await authorizer.current(signal());
    expect(await authorizer.refresh(refused, refusal(), signal())).toBeUndefined();
    expect(source.reads).toBe(2);
  });

  it('a 403 does not read the source again, because the server knows the token', async () => {
    const source = new ScriptedSource('first');
    const { authorizer } = authorizerOf(source);
    const refused = await authorizer.current(signal());
    expect(await authorizer.refresh(refused, refusal(403), signal())).toBeUndefined();
    expect(source.reads).toBe(1);
  });

  it('the error after a 401 names the source, the failed read and what the server said', async () => {
    const source = new ScriptedSource('first');
    const { authorizer } = authorizerOf(source);
    const refused = await authorizer.current(signal());
    source.text = new Error('it exited with code 2.');
    expect(await authorizer.refresh(refused, refusal(), signal())).toBeUndefined();
    const challenge = 'Bearer error="invalid_token", error_description="The token was revoked"';
    expect(authorizer.explain(refusal(401, challenge), 'h.example')).toBe(
      'The server at h.example refused the bearer token from the test (HTTP 401). It could not be read again: it exited with code 2. Set another token. The server said: invalid_token: The token was revoked',
    );
  });
});
