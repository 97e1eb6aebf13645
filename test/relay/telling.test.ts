import { expect, it } from 'vitest';
import { CallController } from '../../src/core/call-signal.ts';
import type { Notification, Response } from '../../src/core/message.ts';
import { Telling } from '../../src/relay/telling.ts';
import { messageOf } from '../support/make-call.ts';

const MIB = 1024 * 1024;
const sized = (characters: number): Notification | Response => {
  const message = messageOf({ method: 'notifications/message' });
  if (message.kind !== 'notification') throw new Error(message.kind);
  return { ...message, text: ' '.repeat(characters) };
};

it('takes as many characters as there is room for, whatever their number of messages', () => {
  const telling = new Telling();
  const quarters = Array.from({ length: 4 }, () => new CallController());
  for (const controller of quarters) expect(telling.add(controller, sized(64 * MIB))).toBe(true);
  expect(telling.add(new CallController(), sized(1))).toBe(false);
  telling.remove(quarters[0] as CallController);
  expect(telling.add(new CallController(), sized(64 * MIB + 1))).toBe(false);
  expect(telling.add(new CallController(), sized(64 * MIB))).toBe(true);
  expect(telling.size).toBe(4);
});

it('takes so many messages, and has room again for each that has arrived, counted once', () => {
  const telling = new Telling();
  const empty = sized(0);
  const all = Array.from({ length: 65_536 }, () => new CallController());
  for (const controller of all) telling.add(controller, empty);
  expect(telling.add(new CallController(), empty)).toBe(false);
  telling.remove(all[7] as CallController);
  telling.remove(all[7] as CallController);
  expect(telling.add(new CallController(), empty)).toBe(true);
  expect(telling.add(new CallController(), empty)).toBe(false);
  expect(telling.all()).toHaveLength(65_536);
});
