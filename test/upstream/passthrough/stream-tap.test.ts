import { describe, expect, it } from 'vitest';
import { Incoming } from '../../../src/upstream/http/incoming.ts';
import { tapEvents } from '../../../src/upstream/passthrough/stream-tap.ts';

const responseOf = (headers: Record<string, string>): Incoming =>
  new Incoming(200, headers, { pause: () => undefined, resume: () => undefined });
const EVENTS = { 'content-type': 'text/event-stream; charset=utf-8' };

const methodsIn = (stream: string, at = stream.length): string[] => {
  const heard = tapEvents(responseOf(EVENTS));
  if (!heard) throw new Error('deaf');
  const bytes = Buffer.from(stream);
  return [bytes.subarray(0, at), bytes.subarray(at)]
    .flatMap((chunk) => [...heard(chunk)])
    .map((message) => (message.kind === 'response' ? 'response' : message.method));
};

describe('a stream tap', () => {
  const progress = 'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n';
  const question = 'id: 4\ndata: {"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{}}\n\n';
  const answer = 'data: {"jsonrpc":"2.0","id":0,"result":{"text":"a \\"method\\" of its own"}}\n\n';

  it('a stream tap reports notifications and requests, wherever the stream is cut', () => {
    const stream = `: hello\n\n${progress}${question}${answer}`;
    for (let at = 0; at <= Buffer.byteLength(stream); at++) {
      expect(methodsIn(stream, at)).toEqual(['notifications/progress', 'elicitation/create']);
    }
  });

  it('a stream tap ignores what is not JSON, and long answers', () => {
    const huge = `data: {"method":"${'x'.repeat(100_000)}"}\n\n`;
    expect(methodsIn(`data: a "method" of speaking\n\n${huge}${progress}`)).toEqual([
      'notifications/progress',
    ]);
  });
});

it.each([
  ['JSON', { 'content-type': 'application/json' }],
  ['a stream without a content type', {}],
  ['a compressed stream', { ...EVENTS, 'content-encoding': 'gzip' }],
])('a stream tap ignores %s', (_what, headers) => {
  expect(tapEvents(responseOf(headers))).toBeUndefined();
});
