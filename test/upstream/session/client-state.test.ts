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

describe('client state that is replayed on a new session', () => {
  it('client state is the last log level and the open subscriptions in their order', () => {
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

  it('client state has one subscription if the client subscribed twice, and none if it never did', () => {
    expect(toldOf(subscribe('a://1'), subscribe('a://1'))).toHaveLength(1);
    expect(toldOf(unsubscribe('a://1'), unsubscribe('a://1'))).toEqual([]);
  });

  it('client state keeps at most the newest 1,024 subscriptions', () => {
    const told = toldOf(...Array.from({ length: 2_000 }, (_, at) => subscribe(`a://${at}`)));
    expect(told).toHaveLength(1_024);
    expect(told.at(-1)).toEqual(['resources/subscribe', { uri: 'a://1999' }]);
    expect(told[0]).toEqual(['resources/subscribe', { uri: 'a://976' }]);
  });

  it('client state ignores calls, pings, notifications and responses', () => {
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

  it('client state is the newest subscriptions, as many as 4 MiB hold, and no log level of a megabyte', () => {
    const told = new ClientState();
    const uri = (n: number): string => `a://${n}/${'x'.repeat(1024 * 1024)}`;
    for (let n = 0; n < 8; n++) told.remember(subscribe(uri(n)));
    told.remember(subscribe('b://short'));
    told.remember(requestOf('logging/setLevel', { level: 'x'.repeat(1024 * 1024) }));
    expect(told.requests.map(({ text }) => /[ab]:..\w+/.exec(text)?.[0])).toEqual([
      'a://5',
      'a://6',
      'a://7',
      'b://short',
    ]);
    told.remember(requestOf('resources/unsubscribe', { uri: uri(7) }));
    expect(told.requests).toHaveLength(3);
  });

  it('client state is empty after a second initialize', () => {
    const told = new ClientState();
    told.remember(subscribe('a://1'));
    told.remember(requestOf('logging/setLevel', { level: 'info' }));
    told.clear();
    expect(told.requests).toEqual([]);
  });
});

describe('messages for every session', () => {
  it.each([
    ['logging/setLevel', true],
    ['resources/subscribe', true],
    ['resources/unsubscribe', true],
    ['tools/call', false],
    ['ping', false],
    ['tools/list', false],
  ])('the message %s is for every session: %s', (method, every) => {
    expect(isSessionWide(requestOf(method))).toBe(every);
  });

  it('the message roots/list_changed is for every session, and no other notification or response', () => {
    expect(isSessionWide(messageOf({ method: 'notifications/roots/list_changed' }))).toBe(true);
    expect(isSessionWide(messageOf({ method: 'notifications/progress' }))).toBe(false);
    expect(isSessionWide(messageOf({ id: 0, result: {} }))).toBe(false);
  });
});
