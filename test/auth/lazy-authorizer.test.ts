import { describe, expect, it } from 'vitest';
import type { Authorizer } from '../../src/auth/authorizer.ts';
import { LazyAuthorizer } from '../../src/auth/lazy-authorizer.ts';
import { unsigned } from '../../src/auth/unsigned.ts';

const CREDENTIAL = { principal: 'one' };

/** An authorizer of one credential, behind a loader that counts its calls. */
function lazy({ failures = 0 } = {}) {
  const counts = { loads: 0, closed: 0 };
  const implementation: Authorizer = {
    ...unsigned,
    kind: 'bearer',
    learnsFromRefusal: true,
    principal: 'one',
    current: () => CREDENTIAL,
    authorize: () => ({ authorization: 'Bearer x' }),
    refresh: async () => CREDENTIAL,
    explain: () => 'explained',
    close: () => {
      counts.closed++;
    },
  };
  const authorizer = new LazyAuthorizer({
    kind: 'bearer',
    load: async () => {
      counts.loads++;
      if (counts.loads <= failures) throw new Error('no such chunk');
      return implementation;
    },
  });
  return { authorizer, counts };
}

const signal = (): AbortSignal => new AbortController().signal;

describe('an authorizer that is loaded with the first request', () => {
  it('a lazy authorizer answers with its own facts before the first request, and loads nothing', () => {
    const { authorizer, counts } = lazy();
    const { kind, scope, credentials, sendsTime, learnsFromRefusal, identityMayChange, principal } =
      authorizer;
    expect({ kind, scope, credentials, sendsTime, learnsFromRefusal, identityMayChange, principal }).toEqual({
      kind: 'bearer',
      scope: undefined,
      credentials: undefined,
      sendsTime: false,
      learnsFromRefusal: false,
      identityMayChange: false,
      principal: undefined,
    });
    expect(
      authorizer.explain({ status: 401, kind: 'other', message: '', challenge: '' }, 'h'),
    ).toBeUndefined();
    expect(counts.loads).toBe(0);
  });

  it('a lazy authorizer loads once for parallel requests, and then answers without a promise', async () => {
    const { authorizer, counts } = lazy();
    const both = await Promise.all([authorizer.current(signal()), authorizer.current(signal())]);
    expect(both).toEqual([CREDENTIAL, CREDENTIAL]);
    expect(authorizer.current(signal())).toBe(CREDENTIAL);
    expect(authorizer.principal).toBe('one');
    expect(authorizer.learnsFromRefusal).toBe(true);
    expect(counts.loads).toBe(1);
  });

  it('a lazy authorizer whose module cannot be loaded loads it again for the next request', async () => {
    const { authorizer, counts } = lazy({ failures: 1 });
    await expect(authorizer.current(signal())).rejects.toThrow('no such chunk');
    expect(await authorizer.current(signal())).toBe(CREDENTIAL);
    expect(counts.loads).toBe(2);
  });

  it('a lazy authorizer that is closed while it loads closes what it has loaded', async () => {
    const { authorizer, counts } = lazy();
    const current = authorizer.current(signal());
    authorizer.close();
    await current;
    expect(counts.closed).toBe(1);
  });
});
