import { describe, expect, it } from 'vitest';
import {
  identityKey,
  type KnownCaller,
  MAX_GROUPS,
  type MappedIdentity,
  mapIdentity,
} from '../../../../src/client/http/users/identity-map.ts';
import { readIdentityRules } from '../../../../src/client/http/users/identity-rules.ts';

const ARN = 'arn:aws:iam::123456789012:role/reader';
/** A placeholder of the map. */
const claim = (name: string): string => ['$', '{', name, '}'].join('');

function mapped(rules: readonly object[], caller: Partial<KnownCaller>): MappedIdentity {
  const read = readIdentityRules({ identities: rules });
  if ('problem' in read) throw new Error(read.problem);
  return mapIdentity(read.value, { name: 'user:alice', claims: { sub: 'alice' }, ...caller });
}

const ruleOf = (match: object, caller: Partial<KnownCaller>): string | undefined => {
  const found = mapped([{ name: 'found', match }], caller);
  return 'rule' in found ? found.rule : undefined;
};

describe('the condition of a rule', () => {
  it.each<[string, object, Partial<KnownCaller>, boolean]>([
    ['token', { token: 'ci' }, { name: 'ci', claims: undefined }, true],
    ['token, by wildcard', { token: 'ci-*' }, { name: 'ci-7', claims: undefined }, true],
    ['another token', { token: 'ci' }, { name: 'bob', claims: undefined }, false],
    ['token, for a user of that subject', { token: 'ci' }, { name: 'user:ci', claims: { sub: 'ci' } }, false],
    ['subject, for a token of that name', { subject: 'ci' }, { name: 'ci', claims: undefined }, false],
    ['subject', { subject: ['bob', 'alice'] }, {}, true],
    ['every subject', { subject: '*' }, {}, true],
    ['subject, where there is none', { subject: '*' }, { claims: { client_id: 'x' } }, false],
    ['group', { group: 'ops' }, { claims: { groups: ['dev', 'ops'] } }, true],
    ['group as one text', { group: 'ops' }, { claims: { groups: 'ops' } }, true],
    ['group of Cognito', { group: 'ops' }, { claims: { 'cognito:groups': ['ops'] } }, true],
    ['group, without groups', { group: '*' }, {}, false],
    ['claim', { claim: { tier: 'gold' } }, { claims: { tier: 'gold' } }, true],
    ['claim in a list', { claim: { tiers: 'gold' } }, { claims: { tiers: ['x', 'gold'] } }, true],
    ['claim, one of several values', { claim: { tier: [1, 2] } }, { claims: { tier: 2 } }, true],
    ['claim of another type', { claim: { admin: true } }, { claims: { admin: 'true' } }, false],
    ['claim that every object has', { claim: { toString: 'x' } }, {}, false],
    ['two conditions of which one holds', { subject: 'alice', group: 'ops' }, {}, false],
  ])('a rule with the condition %s: %j', (_kind, match, caller, holds) => {
    expect(ruleOf(match, caller)).toBe(holds ? 'found' : undefined);
  });

  it('a token with too many groups has no access, and repeated groups count once', () => {
    const groups = Array.from({ length: MAX_GROUPS }, (_, at) => `g-${at}`);
    expect(ruleOf({ group: 'g-?99' }, { claims: { groups: [...groups, ...groups], roles: groups } })).toBe(
      'found',
    );
    expect(mapped([{ name: 'x', match: { group: 'g-1' } }], { claims: { groups, roles: ['x'] } })).toEqual({
      problem: `the access token names more than ${MAX_GROUPS} groups`,
    });
  });

  it('the first rule that matches counts, and without one there is no access', () => {
    const rules = ['bob', 'al*', '*'].map((subject, at) => ({ name: `r-${at}`, match: { subject } }));
    expect(mapped(rules, {})).toMatchObject({ rule: 'r-1' });
    expect(mapped(rules.slice(0, 1), {})).toEqual({ problem: 'no rule of --identity-map matches' });
  });
});

describe('the role of a rule', () => {
  const roleOf = (role: object, claims: object = { sub: 'alice' }): unknown => {
    const match = { subject: '*' };
    const target = mapped([{ name: 'x', match, role: { arn: ARN, ...role } }], {
      claims: { sub: 'alice', ...claims },
    });
    return 'problem' in target ? target.problem : target.role;
  };

  it.each<[string, object, object, object | string]>([
    ['the name of the user as session name', {}, {}, { sessionName: expect.stringMatching(/^user-alice-/) }],
    ['a claim in the session name', { sessionName: `a-${claim('sub')}` }, {}, { sessionName: 'a-alice' }],
    ['a number as claim', { sessionName: `n${claim('n')}` }, { n: 0 }, { sessionName: 'n0' }],
    ['tags from claims', { tags: { t: claim('dep') } }, { dep: 'R é' }, { tags: { t: 'R é' } }],
    ['no claim for the session name', { sessionName: claim('x') }, {}, 'the access token has no claim x'],
    ['an empty claim', { tags: { t: claim('x') } }, { x: '' }, 'the access token has no claim x'],
    ['a claim that is a list', { tags: { t: claim('x') } }, { x: ['a'] }, 'the access token has no claim x'],
    ['a tag that STS refuses', { tags: { t: claim('x') } }, { x: 'a\nb' }, 'accepts no session tag t'],
    ['a tag that is too long', { tags: { t: claim('x') } }, { x: 'a'.repeat(257) }, 'accepts no session tag'],
  ])('a role with %s', (_kind, role, claims, expected) => {
    if (typeof expected === 'string') expect(roleOf(role, claims)).toContain(expected);
    else expect(roleOf(role, claims)).toMatchObject(expected);
  });

  it('session names that STS would take for one name stay different, and have at most 64 characters', () => {
    const names = ['a/b', 'a-b', 'a b', 'x'.repeat(80), 'x'.repeat(81), 'y'].map((name) => {
      const role = roleOf({ sessionName: claim('name') }, { name });
      return (role as { sessionName: string }).sessionName;
    });
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[\w+=,.@-]{2,64}$/);
    expect(names[1]).toBe('a-b');
    // A user who chooses the name that another one got does not get it.
    const nameOf = (name: string) =>
      (roleOf({ sessionName: claim('name') }, { name }) as { sessionName: string }).sessionName;
    const derived = nameOf('José');
    expect(derived).toMatch(/^Jos--[0-9a-f]{16}$/);
    expect(nameOf(derived)).not.toBe(derived);
  });

  it('a static token cannot take the place of an access token', () => {
    const rule = { name: 'x', match: { token: 'ci' }, webIdentity: { arn: ARN } };
    expect(mapped([rule], { name: 'ci', claims: undefined })).toEqual({
      problem: expect.stringContaining('the caller has a static token'),
    });
  });
});

it('the key of an identity differs by its user, its rule and its claims in role and tags only', () => {
  const rules = [
    { name: 'x', match: { subject: '*' }, role: { arn: ARN, sessionName: 's1', tags: { t: claim('dep') } } },
  ];
  const keyOf = (name: string, claims: object): string => {
    const caller = { name, claims: { sub: 'a', ...claims } };
    const target = mapped(rules, caller);
    if ('problem' in target) throw new Error(target.problem);
    return identityKey(caller, target);
  };
  const first = keyOf('user:a', { dep: 'one' });
  expect(keyOf('user:a', { dep: 'one', iat: 1 })).toBe(first);
  expect(new Set([first, keyOf('user:b', { dep: 'one' }), keyOf('user:a', { dep: 'two' })]).size).toBe(3);
});
