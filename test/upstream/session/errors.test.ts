import { expect, it } from 'vitest';
import { ERRORS, type ErrorReason } from '../../../src/core/errors/error-table.ts';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { notOpened, notReopened } from '../../../src/upstream/session/errors.ts';

const KEPT: readonly ErrorReason[] = [
  'no-credentials',
  'auth-rejected',
  'invalid-region',
  'circuit-open',
  'rate-limited',
  'shutting-down',
  'login-required',
  'url-elicitation',
];

it.each(Object.keys(ERRORS) as ErrorReason[])('a session that cannot be opened because of %s', (reason) => {
  const cause = new ProxyError(reason, 'Do this.', { sent: 'no' });
  const keeps = KEPT.includes(reason);
  expect(notReopened(cause, undefined).reason).toBe(keeps ? reason : 'session-lost');
  expect(notOpened('dev', cause).reason).toBe(keeps ? reason : 'no-session');
  expect(notReopened(cause, 'dev').message).toContain('Do this');
});
