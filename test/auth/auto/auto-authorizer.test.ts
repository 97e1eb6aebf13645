import { describe, expect, it } from 'vitest';
import type { Authorizer, CredentialRefusal } from '../../../src/auth/authorizer.ts';
import { AutoAuthorizer, type SharedKind } from '../../../src/auth/auto/auto-authorizer.ts';
import type { DerivedKind } from '../../../src/auth/auto/derive-kind.ts';
import { unsigned } from '../../../src/auth/unsigned.ts';
import { Events, type ProxyEvent } from '../../../src/core/pipeline/events.ts';

const BEARER: CredentialRefusal = { status: 401, kind: 'oauth', message: '', challenge: 'Bearer' };
const AWS: CredentialRefusal = { status: 403, kind: 'unsigned', message: '', challenge: '' };
const signal = (): AbortSignal => new AbortController().signal;

function auto(shared: SharedKind = { kind: undefined }, { learns = false } = {}) {
  const created: DerivedKind[] = [];
  const refreshed: unknown[] = [];
  const seen: ProxyEvent[] = [];
  const events = new Events();
  events.subscribe((event) => seen.push(event));
  let identityChanges = 0;
  const create = (kind: DerivedKind): Authorizer => {
    created.push(kind);
    const credential = { principal: kind };
    return {
      ...unsigned,
      kind,
      learnsFromRefusal: learns,
      current: () => (learns ? undefined : credential),
      refresh: async (refused) => {
        refreshed.push(refused);
        return learns ? credential : undefined;
      },
      explain: () => `explained for ${kind}`,
    };
  };
  const authorizer = new AutoAuthorizer({
    shared,
    settings: { hasToken: true, signing: { kind: 'sigv4' } },
    host: 'h.example',
    profile: 'p',
    events,
    create,
    onIdentityChange: () => {
      identityChanges++;
    },
  });
  return { authorizer, created, refreshed, seen, identityChanges: () => identityChanges };
}

describe('the authorizer of --auth auto', () => {
  it('requests carry no credential until one is refused, and nothing is created', () => {
    const { authorizer, created } = auto();
    expect(authorizer.current(signal())).toBeUndefined();
    expect(authorizer.kind).toBeUndefined();
    expect(authorizer.learnsFromRefusal).toBe(true);
    expect(created).toEqual([]);
  });

  it('the first refusal decides once for parallel requests, and is reported once', async () => {
    const { authorizer, created, seen, identityChanges } = auto();
    const both = [AWS, BEARER].map((refusal) => authorizer.refresh(undefined, refusal, signal()));
    expect(await Promise.all(both)).toEqual([{ principal: 'sigv4' }, { principal: 'sigv4' }]);
    expect(created).toEqual(['sigv4']);
    expect(seen.filter(({ type }) => type === 'auth.derived')).toEqual([
      {
        type: 'auth.derived',
        profile: 'p',
        kind: 'sigv4',
        because: 'HTTP 403 with the AWS error MissingAuthenticationToken',
      },
    ]);
    expect(identityChanges()).toBe(1);
    expect(authorizer.current(signal())).toEqual({ principal: 'sigv4' });
  });

  it('a refused credential never leads to another kind', async () => {
    const { authorizer, created, refreshed } = auto();
    const credential = await authorizer.refresh(undefined, AWS, signal());
    expect(await authorizer.refresh(credential, BEARER, signal())).toBeUndefined();
    expect(refreshed).toEqual([credential]);
    expect(created).toEqual(['sigv4']);
    expect(authorizer.explain(BEARER, 'h')).toBe('explained for sigv4');
  });

  it('a kind that learns from the refusal receives it', async () => {
    const { authorizer, refreshed } = auto(undefined, { learns: true });
    expect(await authorizer.refresh(undefined, BEARER, signal())).toEqual({ principal: 'bearer' });
    expect(refreshed).toEqual([undefined]);
  });

  it('the kind that one profile has derived holds for the others', async () => {
    const shared: SharedKind = { kind: undefined };
    await auto(shared).authorizer.refresh(undefined, BEARER, signal());
    const other = auto(shared);
    expect(other.authorizer.current(signal())).toEqual({ principal: 'bearer' });
    expect(other.seen).toEqual([]);
  });

  it('a refusal that names no kind is an error, and the next refusal decides again', async () => {
    const { authorizer } = auto();
    const unclear: CredentialRefusal = { status: 403, kind: 'denied', message: '', challenge: '' };
    await expect(authorizer.refresh(undefined, unclear, signal())).rejects.toMatchObject({
      reason: 'auth-rejected',
      sent: 'refused',
      message: expect.stringContaining('--auth auto cannot derive the kind'),
    });
    expect(await authorizer.refresh(undefined, AWS, signal())).toEqual({ principal: 'sigv4' });
  });

  it('the page of a firewall decides nothing', async () => {
    const { authorizer, created } = auto();
    const page: CredentialRefusal = { status: 403, kind: 'foreign-page', message: '', challenge: '' };
    expect(await authorizer.refresh(undefined, page, signal())).toBeUndefined();
    expect(created).toEqual([]);
  });
});
