import { expect, test } from 'vitest';
import { defaultSessionName } from '../../../src/auth/credentials/sdk-providers.ts';

test('the default session name stays the same for the life of the process, and STS accepts it', () => {
  expect(defaultSessionName({})).toMatch(/^mcp-sigv4-proxy-[\w+=,.@-]+$/);
  expect(defaultSessionName({}).length).toBeLessThanOrEqual(64);
  expect(defaultSessionName({})).toBe(defaultSessionName({}));
});

test.each([
  ['build@ci', 'build@ci'],
  ['two words/ümlaut', 'two-words--mlaut'],
  ['x'.repeat(80), 'x'.repeat(64)],
])('AWS_ROLE_SESSION_NAME=%s gives the session name %s', (given, name) => {
  expect(defaultSessionName({ AWS_ROLE_SESSION_NAME: given })).toBe(name);
});

test('an AWS_ROLE_SESSION_NAME that is too short for STS is replaced by the default name', () => {
  expect(defaultSessionName({ AWS_ROLE_SESSION_NAME: 'x' })).toBe(defaultSessionName({}));
});
