import { describe, expect, it } from 'vitest';
import type { Message, Request } from '../../../src/core/jsonrpc/message.ts';
import type { Emit } from '../../../src/core/pipeline/call.ts';
import { ChangeStreams } from '../../../src/core/tools/change-streams.ts';
import { requestOf } from '../../support/make-call.ts';

const LISTENER = { client: 'c', profile: '', stateless: false };
const ORIGIN = { profile: '', gone: new Promise<void>(() => undefined) };

describe('change streams', () => {
  it('change streams are continuous as long as one of them is open', () => {
    const feeds = new ChangeStreams();
    expect(feeds.watchOf(LISTENER)).toBeUndefined();
    const endFirst = feeds.add(LISTENER);
    const since = feeds.watchOf(LISTENER);
    const endSecond = feeds.add(LISTENER);
    endFirst();
    endFirst();
    expect(feeds.watchOf(LISTENER)).toBe(since);
    endSecond();
    expect(feeds.watchOf(LISTENER)).toBeUndefined();
    feeds.add(LISTENER);
    endSecond();
    expect(feeds.watchOf(LISTENER)).toBeDefined();
    expect(feeds.watchOf(LISTENER)).not.toBe(since);
  });

  it('change streams do not count for another identity until it opens its own', () => {
    const feeds = new ChangeStreams();
    const end = feeds.add(LISTENER);
    const other = { ...LISTENER, profile: 'other' };
    feeds.add(other);
    const since = [feeds.watchOf(LISTENER), feeds.watchOf(other)];
    feeds.invalidate('');
    expect([feeds.watchOf(LISTENER), feeds.watchOf(other)]).toEqual([undefined, since[1]]);
    const endOwn = feeds.add(LISTENER);
    const own = feeds.watchOf(LISTENER);
    expect(own).toBeDefined();
    expect(own).not.toBe(since[0]);
    end();
    expect(feeds.watchOf(LISTENER)).toBe(own);
    endOwn();
    expect(feeds.watchOf(LISTENER)).toBeUndefined();
  });

  it.each([{ client: 'd' }, { profile: 'dev' }, { stateless: true }])(
    'change streams of one client do not count for %j',
    (other) => {
      const feeds = new ChangeStreams();
      feeds.add(LISTENER);
      expect(feeds.watchOf({ ...LISTENER, ...other })).toBeUndefined();
    },
  );

  it('change streams pass a change to every subscription under its id, even if one of them fails', async () => {
    const feeds = new ChangeStreams();
    const heard: Message[] = [];
    const emit: Emit = async (message) => void heard.push(message);
    const request = (id: number | string) => requestOf('subscriptions/listen', {}, id) as Request;
    feeds.add(LISTENER);
    feeds.add(LISTENER, { request: request('gone'), emit: () => Promise.reject(new Error('gone')) });
    const end = feeds.add(LISTENER, { request: request(0), emit });
    feeds.add(LISTENER, { request: request(''), emit });
    feeds.add({ ...LISTENER, client: 'd' }, { request: request(1), emit });
    feeds.emitChange(LISTENER, ORIGIN);
    const ids = () => heard.map(({ json }) => (json.params as { _meta: Record<string, unknown> })._meta);
    expect(ids()).toEqual([
      { 'io.modelcontextprotocol/subscriptionId': 0 },
      { 'io.modelcontextprotocol/subscriptionId': '' },
    ]);
    end();
    feeds.emitChange(LISTENER, ORIGIN);
    expect(heard).toHaveLength(3);
  });
});
