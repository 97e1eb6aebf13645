import { describe, expect, it } from 'vitest';
import { ListCopies } from '../../../src/upstream/passthrough/list-copies.ts';

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };
const EVENT_TYPE = { 'content-type': 'text/event-stream' };
const LIST = '{"jsonrpc":"2.0","id":0,"result":{"tools":[{"name":"é"}]}}';
const MIB = 1_024 * 1_024;

/** The list that is read from these bytes, cut everywhere. */
function understood(headers: Record<string, string>, text: string, id: string | number = 0) {
  const copy = new ListCopies().start({ headers });
  for (const byte of Buffer.from(text)) copy.add(Buffer.of(byte));
  return copy.end(id)?.text;
}

describe('a copy of a list', () => {
  it.each([
    ['as JSON', JSON_TYPE, LIST],
    ['in a batch', JSON_TYPE, `[{"jsonrpc":"2.0","id":1,"result":{}},${LIST}]`],
    ['as an event', EVENT_TYPE, `id: 1\ndata:\n\ndata: {"jsonrpc":"2.0","method":"x"}\n\ndata: ${LIST}\n\n`],
    ['beside an event that is no JSON', EVENT_TYPE, `data: {\n\ndata: ${LIST}\n\n`],
  ])('a copy of a list is read %s', (_how, headers, text) => {
    expect(understood(headers, text)).toBe(LIST);
  });

  it.each([
    ['is for another request', JSON_TYPE, LIST, '0'],
    ['is no list', JSON_TYPE, '<p>', 0],
    ['is compressed', { ...JSON_TYPE, 'content-encoding': 'gzip' }, LIST, 0],
    ['is incomplete', EVENT_TYPE, `data: ${LIST}`, 0],
    ['is empty', JSON_TYPE, '', 0],
  ])('a copy of a list is ignored if it %s', (_why, headers, text, id) => {
    expect(understood(headers, text, id)).toBeUndefined();
  });

  it('copies of lists are kept within one bound for all', () => {
    const copies = new ListCopies();
    const first = copies.start({ headers: JSON_TYPE });
    first.add(Buffer.alloc(31 * MIB, ' '));
    const second = copies.start({ headers: JSON_TYPE });
    second.add(Buffer.alloc(2 * MIB, ' '));
    second.add(Buffer.from(LIST));
    expect(second.end(0)).toBeUndefined();
    first.add(Buffer.from(LIST));
    expect(first.end(0)?.text).toContain('"tools"');
    const third = copies.start({ headers: JSON_TYPE });
    third.add(Buffer.alloc(31 * MIB, ' '));
    third.add(Buffer.from(LIST));
    expect(third.end(0)?.id).toBe(0);
  });
});
