import { describe, expect, it } from 'vitest';
import { bytesOf } from '../../../src/core/jsonrpc/parse.ts';
import { readLimit } from '../../../src/core/jsonrpc/read-limit.ts';
import { Incoming } from '../../../src/upstream/http/incoming.ts';
import { readEventMessages, type StreamPosition } from '../../../src/upstream/stream/stream.ts';

const RESULT = '{"jsonrpc":"2.0","id":0,"result":{"n":1.0,"big":12345678901234567890}}';
const PROGRESS = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}';

/** Reads a stream that arrives in the given chunks. */
async function read(chunks: readonly (string | Buffer)[], broken?: Error) {
  const response = new Incoming(200, {}, { pause: () => undefined, resume: () => undefined });
  const dropped: string[] = [];
  let received = 0;
  response.onChunk = () => void received++;
  const observer = { onDropped: (reason: string) => void dropped.push(reason) };
  for (const chunk of chunks) response.push(Buffer.from(chunk));
  if (broken) response.fail(broken);
  else response.end();
  const position: StreamPosition = { lastEventId: undefined, retryMs: undefined };
  const texts: string[] = [];
  const bytes: (Buffer | undefined)[] = [];
  let failure: unknown;
  try {
    for await (const message of readEventMessages(response, position, observer, readLimit(0))) {
      texts.push(message.text);
      bytes.push(message.kind === 'unusable' ? undefined : bytesOf(message));
    }
  } catch (error) {
    failure = error;
  }
  return { texts, bytes, dropped, received, failure, position };
}

describe('messages of an event stream', () => {
  it.each<[what: string, chunks: (string | Buffer)[], texts: string[], dropped: string[]]>([
    [
      'its messages in order, byte for byte',
      [`data: ${PROGRESS}\n\ndata: ${RESULT}\n\n`],
      [PROGRESS, RESULT],
      [],
    ],
    [
      'a message in several chunks',
      [`data: ${RESULT.slice(0, 20)}`, `${RESULT.slice(20)}\n`, '\n'],
      [RESULT],
      [],
    ],
    [
      'a message in several data lines, as one line',
      ['data: {"jsonrpc":"2.0",\ndata: "method":"a"}\n\n'],
      ['{"jsonrpc":"2.0", "method":"a"}'],
      [],
    ],
    ['the members of a batch', [`data: [${PROGRESS},${RESULT}]\n\n`], [PROGRESS, RESULT], []],
    [
      'nothing for comments and primers',
      [': hi\n\n', 'id: 1\ndata:\n\n', `data: ${RESULT}\n\n`],
      [RESULT],
      [],
    ],
    [
      'nothing for another kind of event',
      ['event: endpoint\ndata: /messages\n\n', `data: ${RESULT}\n\n`],
      [RESULT],
      [],
    ],
    [
      'the rest, where one event holds no JSON',
      ['data: {"oops\n\n', `data: ${RESULT}\n\n`],
      [RESULT],
      ['an event that holds no JSON'],
    ],
    [
      'the rest, where one event holds no message',
      ['data: 42\n\n', `data: ${RESULT}\n\n`],
      [RESULT],
      ['an event that holds no JSON-RPC message'],
    ],
    ['nothing of an event that the end cuts', [`data: ${PROGRESS}\n\n`, `data: ${RESULT}\n`], [PROGRESS], []],
    [
      'one raw object under the wrong label',
      [` \n${RESULT.slice(0, 9)}`, RESULT.slice(9)],
      [`  ${RESULT}`],
      [],
    ],
    ['one raw array under the wrong label', [`[${PROGRESS},`, `${RESULT}]`], [PROGRESS, RESULT], []],
    ['nothing of a raw object that is cut', [RESULT.slice(0, 30)], [], ['an event that holds no JSON']],
    ['nothing where nothing comes', [], [], []],
    ['nothing of blanks', ['\n \n\r\n'], [], []],
  ])('an event stream yields %s', async (_what, chunks, texts, dropped) => {
    expect(await read(chunks)).toMatchObject({ texts, dropped, failure: undefined });
  });

  it('an event stream yields a long result byte for byte', async () => {
    const text = `{"jsonrpc":"2.0","id":0,"result":{"text":"${'words é\\n'.repeat(60_000)}"}}`;
    const { texts } = await read([`data: ${text.slice(0, 300_000)}`, `${text.slice(300_000)}\n\n`]);
    expect(texts.length === 1 && texts[0] === text).toBe(true);
  });

  it('an event stream yields a long result with invalid UTF-8 as text with replacement characters', async () => {
    const [head, tail] = [`{"jsonrpc":"2.0","id":0,"result":"${'words '.repeat(60_000)}`, '"}'];
    const event = [Buffer.from(`data: ${head}`), Buffer.of(0xff), Buffer.from(`${tail}\n\n`)];
    const { texts, bytes } = await read([Buffer.concat(event)]);
    expect(texts[0] === `${head}\uFFFD${tail}`).toBe(true);
    expect(bytes).toEqual([undefined]);
  });

  it('an event stream reports every chunk, comments included, because they prove a living server', async () => {
    expect((await read([': a\n\n', ': b\n\n', `data: ${RESULT}\n\n`])).received).toBe(3);
  });

  it('an event stream yields what arrived before it broke, and then the failure', async () => {
    const broken = new Error('other side closed');
    expect(await read([`data: ${PROGRESS}\n\n`, 'data: {"half'], broken)).toEqual({
      texts: [PROGRESS],
      bytes: [undefined],
      dropped: [],
      received: 2,
      failure: broken,
      position: { lastEventId: undefined, retryMs: undefined },
    });
  });
});

describe('the position in an event stream', () => {
  it.each<[what: string, text: string, lastEventId: string | undefined, retryMs: number | undefined]>([
    ['is unknown where no event has an id', `data: ${RESULT}\n\n`, undefined, undefined],
    ['is the id of the last event', `id: a\ndata: ${PROGRESS}\n\nid: b\ndata: ${RESULT}\n\n`, 'b', undefined],
    ['is kept through events without an id', `id: a\ndata:\n\ndata: ${PROGRESS}\n\n`, 'a', undefined],
    ['is also taken from an event without data', 'id: primer\nretry: 0\n\n', 'primer', 0],
    ['is cleared by an empty id', `id: a\ndata:\n\nid:\ndata:\n\n`, undefined, undefined],
    ['is not that of an incomplete event', `id: a\ndata:\n\nid: b\ndata: {`, 'a', undefined],
    ['includes the last retry field', 'retry: 10\nid: 0\ndata:\n\nretry: 2500\n\n', '0', 2500],
  ])('the position in an event stream %s', async (_what, text, lastEventId, retryMs) => {
    expect((await read([text])).position).toEqual({ lastEventId, retryMs });
  });
});
