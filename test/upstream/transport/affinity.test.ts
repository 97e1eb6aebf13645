import { describe, expect, it } from 'vitest';
import { Affinity } from '../../../src/upstream/transport/affinity.ts';
import { Cookies } from '../../../src/upstream/transport/cookies.ts';

const URL = 'https://mcp.example.com/mcp';
const ID = 'mcp-session-id';
const at = (routes = true): Affinity => new Affinity({ url: URL, routes });
const answer = (headers: Record<string, string | string[]>, status = 200) => ({ status, headers });

describe('the routing id of an affinity', () => {
  it('a routing id belongs to the identity that received it', () => {
    const affinity = at();
    affinity.learn('role/a', answer({ [ID]: 'vm-1' }), {}, undefined);
    expect(affinity.headersFor('role/a', {}, {})).toEqual({ [ID]: 'vm-1' });
    expect(affinity.headersFor('role/b', {}, {})).toBeUndefined();
    expect(affinity.headersFor('role/a', {}, {})).toBeUndefined();
  });

  it('a routing id is that of the first of several answers, and follows the platform', () => {
    const affinity = at();
    affinity.learn('a', answer({ [ID]: 'vm-1' }), {}, undefined);
    affinity.learn('a', answer({ [ID]: 'vm-2' }), {}, undefined);
    expect(affinity.headersFor('a', {}, {})).toEqual({ [ID]: 'vm-1' });
    affinity.learn('a', answer({ [ID]: 'vm-3' }), {}, { [ID]: 'vm-1' });
    expect(affinity.headersFor('a', {}, {})).toEqual({ [ID]: 'vm-3' });
  });

  it.each<[what: string, configured: Record<string, string>, own: Record<string, string>]>([
    ['--header', { [ID]: 'mine' }, {}],
    ['the request itself', {}, { [ID]: 's-1' }],
  ])('a routing id gives way to that of %s', (_what, configured, own) => {
    const affinity = at();
    affinity.learn('a', answer({ [ID]: 'vm-1' }), {}, undefined);
    expect(affinity.headersFor('a', configured, own)).toEqual({});
  });

  it.each<[what: string, affinity: Affinity, status: number, id: string]>([
    ['where the platform does not route by it', at(false), 200, 'vm-1'],
    ['of an answer that refuses the caller', at(), 403, 'vm-1'],
    ['of an answer that does not know it', at(), 404, 'vm-1'],
    ['that no header can carry', at(), 200, 'vm 1'],
    ['that is longer than any id', at(), 200, 'v'.repeat(2_000)],
  ])('a routing id is not kept %s', (_what, affinity, status, id) => {
    affinity.learn('a', answer({ [ID]: id }, status), {}, undefined);
    expect(affinity.holds).toBe(false);
  });
});

describe('cookies of an endpoint', () => {
  it('cookies of an endpoint end with the identity', async () => {
    const affinity = at(false);
    await affinity.learn('a', answer({ 'set-cookie': 'n=1; Path=/' }), {}, undefined);
    expect(affinity.headersFor('a', {}, {})).toEqual({ cookie: 'n=1' });
    expect(affinity.headersFor('b', {}, {})).toBeUndefined();
    expect(affinity.holds).toBe(false);
  });

  it('cookies of an endpoint are bounded in number and in length', async () => {
    const cookies = new Cookies(URL);
    await cookies.keep([`long=${'x'.repeat(17_000)}`, ...Array.from({ length: 60 }, (_, n) => `c${n}=1`)]);
    expect(cookies.header?.split('; ')).toHaveLength(50);
    await cookies.keep(['c0=changed']);
    expect(cookies.header).toContain('c0=changed');
  });

  it('cookies of an endpoint are bounded in bytes together: one that does not fit is not kept', async () => {
    const cookies = new Cookies(URL);
    const of = (bytes: number, n: number): string => `c${n}=1; Path=/; Comment=${'x'.repeat(bytes)}`;
    await cookies.keep([of(10_000, 0), of(10_000, 1), of(5_000, 2)]);
    expect(cookies.header).toBe('c0=1; c2=1');
    expect(cookies.bytes).toBeLessThan(17_000);
    await cookies.keep([of(100, 0), of(10_000, 1)]);
    expect(cookies.header).toBe('c0=1; c2=1; c1=1');
  });

  it('cookies of an endpoint are omitted if all together would make a request fail', async () => {
    const cookies = new Cookies(URL);
    await cookies.keep(Array.from({ length: 3 }, (_, n) => `c${n}=${'x'.repeat(4_000)}`));
    expect(cookies.header).toBeUndefined();
  });
});
