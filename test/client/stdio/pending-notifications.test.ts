import { expect, it } from 'vitest';
import { PendingNotifications } from '../../../src/client/stdio/pending-notifications.ts';
import type { Notification, Response } from '../../../src/core/jsonrpc/message.ts';
import { CallController } from '../../../src/core/time/call-signal.ts';
import { messageOf } from '../../support/make-call.ts';

const MIB = 1024 * 1024;
const sized = (characters: number): Notification | Response => {
  const message = messageOf({ method: 'notifications/message' });
  if (message.kind !== 'notification') throw new Error(message.kind);
  return { ...message, text: ' '.repeat(characters) };
};

it('pending notifications are bounded in characters', () => {
  const telling = new PendingNotifications();
  const quarters = Array.from({ length: 4 }, () => telling.add(new CallController(), sized(64 * MIB)));
  expect(quarters).not.toContain(undefined);
  expect(telling.add(new CallController(), sized(1))).toBeUndefined();
  quarters[0]?.();
  expect(telling.add(new CallController(), sized(64 * MIB + 1))).toBeUndefined();
  expect(telling.add(new CallController(), sized(64 * MIB))).toBeDefined();
  expect(telling.size).toBe(4);
});

it('pending notifications are bounded in number, and each delivery frees one place', () => {
  const telling = new PendingNotifications();
  const empty = sized(0);
  const all = Array.from({ length: 65_536 }, () => telling.add(new CallController(), empty));
  expect(telling.add(new CallController(), empty)).toBeUndefined();
  all[7]?.();
  all[7]?.();
  expect(telling.add(new CallController(), empty)).toBeDefined();
  expect(telling.add(new CallController(), empty)).toBeUndefined();
  expect(telling.all()).toHaveLength(65_536);
});
