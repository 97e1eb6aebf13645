import { describe, expect, it } from 'vitest';
import type { Message, Request } from '../../../src/core/jsonrpc/message.ts';
import type { Emit } from '../../../src/core/pipeline/call.ts';
import { ChangeStreams } from '../../../src/core/tools/change-streams.ts';
import { requestOf } from '../../support/make-call.ts';

const LISTENER = { client: 'c', profile: '', stateless: false };
const ORIGIN = { profile: '', gone: new Promise<void>(() => undefined) };

describe('the streams on which a server tells of changes', () => {
  it('are without a gap for as long as one of them is open', () => {
    const feeds = new ChangeStreams();
    expect(feeds.unbroken(LISTENER)).toBeUndefined();
    const endFirst = feeds.opened(LISTENER);
    const since = feeds.unbroken(LISTENER);
    const endSecond = feeds.opened(LISTENER);
    endFirst();
    endFirst();
    expect(feeds.unbroken(LISTENER)).toBe(since);
    endSecond();
    expect(feeds.unbroken(LISTENER)).toBeUndefined();
    feeds.opened(LISTENER);
    endSecond();
    expect(feeds.unbroken(LISTENER)).toBeDefined();
    expect(feeds.unbroken(LISTENER)).not.toBe(since);
  });

  it('say nothing to another identity, until it has opened one itself', () => {
    const feeds = new ChangeStreams();
    const end = feeds.opened(LISTENER);
    const other = { ...LISTENER, profile: 'other' };
    feeds.opened(other);
    const since = [feeds.unbroken(LISTENER), feeds.unbroken(other)];
    feeds.distrust('');
    expect([feeds.unbroken(LISTENER), feeds.unbroken(other)]).toEqual([undefined, since[1]]);
    const endOwn = feeds.opened(LISTENER);
    const own = feeds.unbroken(LISTENER);
    expect(own).toBeDefined();
    expect(own).not.toBe(since[0]);
    end();
    expect(feeds.unbroken(LISTENER)).toBe(own);
    endOwn();
    expect(feeds.unbroken(LISTENER)).toBeUndefined();
  });

  it.each([{ client: 'd' }, { profile: 'dev' }, { stateless: true }])('are not those of %j', (other) => {
    const feeds = new ChangeStreams();
    feeds.opened(LISTENER);
    expect(feeds.unbroken({ ...LISTENER, ...other })).toBeUndefined();
  });

  it('carry word of a change to every subscription, in its name, and one that fails keeps it from none', async () => {
    const feeds = new ChangeStreams();
    const heard: Message[] = [];
    const emit: Emit = async (message) => void heard.push(message);
    const request = (id: number | string) => requestOf('subscriptions/listen', {}, id) as Request;
    feeds.opened(LISTENER);
    feeds.opened(LISTENER, { request: request('gone'), emit: () => Promise.reject(new Error('gone')) });
    const end = feeds.opened(LISTENER, { request: request(0), emit });
    feeds.opened(LISTENER, { request: request(''), emit });
    feeds.opened({ ...LISTENER, client: 'd' }, { request: request(1), emit });
    feeds.tell(LISTENER, ORIGIN);
    const ids = () => heard.map(({ json }) => (json.params as { _meta: Record<string, unknown> })._meta);
    expect(ids()).toEqual([
      { 'io.modelcontextprotocol/subscriptionId': 0 },
      { 'io.modelcontextprotocol/subscriptionId': '' },
    ]);
    end();
    feeds.tell(LISTENER, ORIGIN);
    expect(heard).toHaveLength(3);
  });
});
