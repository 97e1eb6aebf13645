import { expect, test } from 'vitest';
import { roleSessionName } from '../../../src/auth/credentials/role-session-name.ts';

test('the name is one for the life of the process, and one that STS takes', () => {
  expect(roleSessionName({})).toMatch(/^mcp-sigv4-proxy-[\w+=,.@-]+$/);
  expect(roleSessionName({}).length).toBeLessThanOrEqual(64);
  expect(roleSessionName({})).toBe(roleSessionName({}));
});

test.each([
  ['build@ci', 'build@ci'],
  ['two words/ümlaut', 'two-words--mlaut'],
  ['x'.repeat(80), 'x'.repeat(64)],
])('AWS_ROLE_SESSION_NAME=%s gives %s', (given, name) => {
  expect(roleSessionName({ AWS_ROLE_SESSION_NAME: given })).toBe(name);
});

test('a name shorter than STS takes gives way to our own', () => {
  expect(roleSessionName({ AWS_ROLE_SESSION_NAME: 'x' })).toBe(roleSessionName({}));
});
