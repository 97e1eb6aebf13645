import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ERROR_CODES, type ErrorReason, ProxyError } from '../../src/core/errors/errors.ts';
import { statusOf } from '../../src/core/errors/http-status.ts';
import { ROOT } from './source-tree.ts';

/** The rows of the page: name, number, status. */
const rows = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter(([, reason = '', code = '']) => /^`[\w-]+`$/.test(reason) && /^-\d+$/.test(code))
  .map(([, reason = '', code = '', status = '']) => ({
    reason: reason.replaceAll('`', ''),
    code: Number(code),
    status,
  }));

it('docs/errors.md has each error with its number, in the order of the table', () => {
  expect(rows.map(({ reason, code }) => [reason, code])).toEqual(Object.entries(ERROR_CODES));
});

it.each(rows.filter(({ status }) => /^\d+$/.test(status)))(
  'docs/errors.md names for $reason the status $status',
  ({ reason, status }) => {
    const error = new ProxyError(reason as ErrorReason, '', { sent: 'no' });
    expect(String(statusOf(error))).toBe(status);
  },
);
