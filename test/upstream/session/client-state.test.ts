import { describe, expect, it } from 'vitest';
import { ClientState, isSessionWide } from '../../../src/upstream/session/client-state.ts';
import { messageOf, requestOf } from '../../support/make-call.ts';

const subscribe = (uri: string) => requestOf('resources/subscribe', { uri }, '');
const unsubscribe = (uri: string) => requestOf('resources/unsubscribe', { uri }, -1);

function toldOf(...messages: Parameters<ClientState['remember']>[0][]): unknown[] {
  const told = new ClientState();
  for (const message of messages) told.remember(message);
  return told.requests.map(({ method, json }) => [method, json.params]);
}

describe('the state that is replayed on a new session', () => {
  it('is the last log level, and each subscription that stands, in the order they were made', () => {
    expect(
      toldOf(
        subscribe('a://1'),
        requestOf('logging/setLevel', { level: 'info' }),
        subscribe('a://2'),
        subscribe('__proto__'),
        requestOf('logging/setLevel', { level: 'debug' }, -1),
        unsubscribe('a://1'),
      ),
    ).toEqual([
      ['logging/setLevel', { level: 'debug' }],
      ['resources/subscribe', { uri: 'a://2' }],
      ['resources/subscribe', { uri: '__proto__' }],
    ]);
  });

  it('is one subscription where the client subscribed twice, and none where it never did', () => {
    expect(toldOf(subscribe('a://1'), subscribe('a://1'))).toHaveLength(1);
    expect(toldOf(unsubscribe('a://1'), unsubscribe('a://1'))).toEqual([]);
  });

  it('is no more than 1,024 subscriptions, the newest', () => {
    const told = toldOf(...Array.from({ length: 2_000 }, (_, at) => subscribe(`a://${at}`)));
    expect(told).toHaveLength(1_024);
    expect(told.at(-1)).toEqual(['resources/subscribe', { uri: 'a://1999' }]);
    expect(told[0]).toEqual(['resources/subscribe', { uri: 'a://976' }]);
  });

  it('is nothing else that the client said: calls, pings, notifications, responses', () => {
    expect(
      toldOf(
        requestOf('tools/call', { name: 'x' }),
        requestOf('ping'),
        requestOf('resources/subscribe', { uri: 7 }),
        requestOf('resources/subscribe'),
        messageOf({ method: 'notifications/roots/list_changed' }),
        messageOf({ id: 0, result: {} }),
      ),
    ).toEqual([]);
  });

  it('is nothing after the client has begun anew', () => {
    const told = new ClientState();
    told.remember(subscribe('a://1'));
    told.remember(requestOf('logging/setLevel', { level: 'info' }));
    told.clear();
    expect(told.requests).toEqual([]);
  });
});

describe('what concerns every session', () => {
  it.each([
    ['logging/setLevel', true],
    ['resources/subscribe', true],
    ['resources/unsubscribe', true],
    ['tools/call', false],
    ['ping', false],
    ['tools/list', false],
  ])('%s: %s', (method, every) => {
    expect(isSessionWide(requestOf(method))).toBe(every);
  });

  it('is that the roots have changed, and no other notification or response', () => {
    expect(isSessionWide(messageOf({ method: 'notifications/roots/list_changed' }))).toBe(true);
    expect(isSessionWide(messageOf({ method: 'notifications/progress' }))).toBe(false);
    expect(isSessionWide(messageOf({ id: 0, result: {} }))).toBe(false);
  });
});
