import { describe, expect, it } from 'vitest';
import { readIdentityRules } from '../../../../src/client/http/users/identity-rules.ts';

const ROLE = { arn: 'arn:aws:iam::123456789012:role/team/reader' };
const rule = (changes: object = {}) => ({ name: 'readers', match: { group: 'readers' }, ...changes });
const read = (...rules: unknown[]) => readIdentityRules({ identities: rules });

it('a rule with all members is read', () => {
  const limits = { maxConcurrent: 2, rateLimit: 0.5, rateBurst: 3 };
  const tools = { readOnly: true, allow: 'get_*', deny: ['get_secret'] };
  const role = { ...ROLE, sessionName: 'name', externalId: 'id-1', tags: { team: 'a b' } };
  expect(read(rule({ profile: 'prod', role, tools, limits }))).toEqual({
    value: [
      {
        name: 'readers',
        match: { token: [], subject: [], group: ['readers'], claim: new Map() },
        profile: 'prod',
        role: { ...role, tags: new Map([['team', 'a b']]), withToken: false },
        policy: { readOnly: true, allowTool: ['get_*'], denyTool: ['get_secret'], ...limits },
      },
    ],
  });
});

describe('an identity map that is refused', () => {
  it.each<[string, unknown, string]>([
    ['that is a list', [], 'the map must be an object'],
    ['without rules', { identities: [] }, 'identities must be a list of at least one rule'],
    ['with a misspelled member', { identities: [rule()], identity: 1 }, 'must not have "identity"'],
    ['with two rules of one name', { identities: [rule(), rule()] }, 'two rules with the name "readers"'],
  ])('an identity map %s is refused', (_kind, document, problem) => {
    expect(readIdentityRules(document)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it.each<[string, object, string]>([
    ['a misspelled member', { profil: 'x' }, 'identities[0] must not have "profil"'],
    ['no condition', { match: {} }, 'identities[0].match must have a condition'],
    ['an empty condition', { match: { group: [] } }, 'identities[0].match.group must be a string'],
    ['an empty claim', { match: { claim: { a: [] } } }, 'identities[0].match.claim.a must be'],
    ['a claim that is an object', { match: { claim: { a: {} } } }, 'identities[0].match.claim.a must be'],
    ['a token with a group', { match: { token: 'a', group: 'b' } }, 'must not have token with another'],
    ['a name with blanks', { name: 'a b' }, 'identities[0].name must be'],
    ['a role that is no ARN', { role: { arn: 'reader' } }, 'identities[0].role.arn must be'],
    ['an unknown member of a role', { role: { ...ROLE, duration: 1 } }, 'must not have "duration"'],
    ['tags with a web identity', { webIdentity: { ...ROLE, tags: {} } }, 'must not have "tags"'],
    ['a role and a web identity', { role: ROLE, webIdentity: ROLE }, 'role or webIdentity, not both'],
    ['a profile with a web identity', { profile: 'a', webIdentity: ROLE }, 'must not have a profile'],
    ['an open placeholder', { role: { ...ROLE, sessionName: `\${` } }, 'role.sessionName must be a string'],
    ['an unusable tag', { role: { ...ROLE, tags: { 'a*': 'b' } } }, 'has an unusable key "a*"'],
    ['readOnly as text', { tools: { readOnly: 'yes' } }, 'tools.readOnly must be true or false'],
    ['a limit of 0', { limits: { maxConcurrent: 0 } }, 'limits.maxConcurrent must be a number above 0'],
    ['half a call', { limits: { maxConcurrent: 0.5 } }, 'limits.maxConcurrent must be a number above 0'],
    ['a burst alone', { limits: { rateBurst: 1 } }, 'must have rateLimit with rateBurst'],
  ])('a rule with %s is refused', (_kind, changes, problem) => {
    expect(read(rule(changes))).toEqual({ problem: expect.stringContaining(problem) });
  });
});
