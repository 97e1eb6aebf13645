import { expect, it } from 'vitest';
import { ERRORS, type ErrorReason } from '../../../src/core/errors/error-table.ts';
import { ProxyError } from '../../../src/core/errors/errors.ts';
import { toOpenError } from '../../../src/layers/lazy/errors.ts';

const KEPT: readonly ErrorReason[] = [
  'no-credentials',
  'auth-rejected',
  'invalid-region',
  'connect-failed',
  'circuit-open',
  'rate-limited',
  'shutting-down',
  'restart-needed',
  'login-required',
  'url-elicitation',
];

it.each(Object.keys(ERRORS) as ErrorReason[])('a lazy session that cannot be opened: %s', (reason) => {
  const error = toOpenError(new ProxyError(reason, 'Do this.', { sent: 'maybe', details: { n: 0 } }));
  const keeps = KEPT.includes(reason);
  expect(error.reason).toBe(keeps ? reason : 'not-opened');
  expect(error.message === 'Do this.').toBe(keeps);
  expect(error.details).toEqual({ n: 0 });
});
