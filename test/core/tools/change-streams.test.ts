import { describe, expect, it } from 'vitest';
import type { Message, Request } from '../../../src/core/jsonrpc/message.ts';
import type { Emit } from '../../../src/core/pipeline/call.ts';
import { ChangeStreams } from '../../../src/core/tools/change-streams.ts';
import { requestOf } from '../../support/make-call.ts';

const LISTENER = { client: 'c', profile: '', stateless: false };
const ORIGIN = { profile: '', gone: new Promise<void>(() => undefined) };

describe('change streams', () => {
  it('change streams are continuous as long as one of them is open', () => {
    const streams = new ChangeStreams();
    expect(streams.watchOf(LISTENER)).toBeUndefined();
    const endFirst = streams.add(LISTENER);
    const since = streams.watchOf(LISTENER);
    const endSecond = streams.add(LISTENER);
    endFirst();
    endFirst();
    expect(streams.watchOf(LISTENER)).toBe(since);
    endSecond();
    expect(streams.watchOf(LISTENER)).toBeUndefined();
    streams.add(LISTENER);
    endSecond();
    expect(streams.watchOf(LISTENER)).toBeDefined();
    expect(streams.watchOf(LISTENER)).not.toBe(since);
  });

  it('change streams do not count for another identity until it opens its own', () => {
    const streams = new ChangeStreams();
    const end = streams.add(LISTENER);
    const other = { ...LISTENER, profile: 'other' };
    streams.add(other);
    const since = [streams.watchOf(LISTENER), streams.watchOf(other)];
    streams.invalidate('');
    expect([streams.watchOf(LISTENER), streams.watchOf(other)]).toEqual([undefined, since[1]]);
    const endOwn = streams.add(LISTENER);
    const own = streams.watchOf(LISTENER);
    expect(own).toBeDefined();
    expect(own).not.toBe(since[0]);
    end();
    expect(streams.watchOf(LISTENER)).toBe(own);
    endOwn();
    expect(streams.watchOf(LISTENER)).toBeUndefined();
  });

  it.each([{ client: 'd' }, { profile: 'dev' }, { stateless: true }])(
    'change streams of one client do not count for %j',
    (other) => {
      const streams = new ChangeStreams();
      streams.add(LISTENER);
      expect(streams.watchOf({ ...LISTENER, ...other })).toBeUndefined();
    },
  );

  it('change streams pass a change to every subscription under its id, even if one of them fails', async () => {
    const streams = new ChangeStreams();
    const received: Message[] = [];
    const emit: Emit = async (message) => void received.push(message);
    const request = (id: number | string) => requestOf('subscriptions/listen', {}, id) as Request;
    streams.add(LISTENER);
    streams.add(LISTENER, { request: request('gone'), emit: () => Promise.reject(new Error('gone')) });
    const end = streams.add(LISTENER, { request: request(0), emit });
    streams.add(LISTENER, { request: request(''), emit });
    streams.add({ ...LISTENER, client: 'd' }, { request: request(1), emit });
    streams.emitChange(LISTENER, ORIGIN);
    const ids = () => received.map(({ json }) => (json.params as { _meta: Record<string, unknown> })._meta);
    expect(ids()).toEqual([
      { 'io.modelcontextprotocol/subscriptionId': 0 },
      { 'io.modelcontextprotocol/subscriptionId': '' },
    ]);
    end();
    streams.emitChange(LISTENER, ORIGIN);
    expect(received).toHaveLength(3);
  });
});
