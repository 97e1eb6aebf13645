import { expect, it } from 'vitest';
import type { Message } from '../../../src/core/jsonrpc/message.ts';
import type { Origin } from '../../../src/core/pipeline/call.ts';
import {
  isChangeNotification,
  withoutDuplicates,
} from '../../../src/upstream/session/dedupe-notifications.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { messageOf } from '../../support/make-call.ts';

const session = (profile = ''): Origin => ({ profile, gone: new Promise(() => undefined) });

function rig() {
  const clock = new FakeClock();
  const shown: unknown[] = [];
  const emit = withoutDuplicates(
    async (message: Message) => void shown.push(message.json.method ?? message.json.id),
    clock,
  );
  const tell = (origin: Origin, method: string, params?: object) =>
    void emit(messageOf({ method, ...(params ? { params } : {}) }), origin);
  return { clock, shown, emit, tell };
}

const TOOLS = 'notifications/tools/list_changed';
const [a, b, c] = [session(), session(), session()];

it('a notification of several sessions within a moment passes once', async () => {
  const { shown, tell } = rig();
  for (const origin of [a, b, c]) tell(origin, TOOLS);
  tell(b, 'notifications/prompts/list_changed');
  expect(shown).toEqual([TOOLS, 'notifications/prompts/list_changed']);
});

it('a second change soon after the first passes once, whichever session announces it first', async () => {
  const { clock, shown, tell } = rig();
  tell(a, TOOLS);
  tell(b, TOOLS);
  await clock.advance(10);
  tell(b, TOOLS);
  tell(a, TOOLS);
  expect(shown).toEqual([TOOLS, TOOLS]);
});

it('a later change that only one session announces passes', async () => {
  const { clock, shown, tell } = rig();
  tell(a, TOOLS);
  tell(a, TOOLS);
  await clock.advance(1_000);
  tell(b, TOOLS);
  expect(shown).toHaveLength(3);
});

it('sessions of different profiles announce different changes', () => {
  const { shown, tell } = rig();
  tell(a, TOOLS);
  tell(session('other'), TOOLS);
  expect(shown).toEqual([TOOLS, TOOLS]);
});

it('updates of different resources are different changes', async () => {
  const { shown, tell } = rig();
  for (const uri of ['a://1', 'a://2']) {
    for (const origin of [a, b]) tell(origin, 'notifications/resources/updated', { uri });
  }
  expect(shown).toHaveLength(2);
});

it('remembered changes are bounded: a storm of updates passes', () => {
  const { shown, tell } = rig();
  for (let at = 0; at < 50_000; at++) tell(a, 'notifications/resources/updated', { uri: `a://${at}` });
  tell(b, 'notifications/resources/updated', { uri: 'a://49999' });
  expect(shown).toHaveLength(50_000);
  // Forgotten: it comes twice, which is no harm.
  tell(b, 'notifications/resources/updated', { uri: 'a://0' });
  expect(shown).toHaveLength(50_001);
});

it('logs, progress and server requests pass as often as they arrive', async () => {
  const { shown, emit, tell } = rig();
  for (const origin of [a, b]) {
    tell(origin, 'notifications/message', { level: 'info', data: 'x' });
    tell(origin, 'notifications/progress', { progressToken: 0, progress: 1 });
    await emit(messageOf({ id: 0, method: 'roots/list' }), origin);
  }
  expect(shown).toHaveLength(6);
});

it.each([
  ['notifications/tools/list_changed', true],
  ['notifications/prompts/list_changed', true],
  ['notifications/resources/list_changed', true],
  ['notifications/resources/updated', true],
  ['notifications/roots/list_changed', false],
  ['notifications/progress', false],
  ['notifications/x/notifications/tools/list_changed', false],
])('the notification %s is a change: %s', (method, change) => {
  expect(isChangeNotification(messageOf({ method }))).toBe(change);
  expect(isChangeNotification(messageOf({ method, id: '' }))).toBe(false);
});
