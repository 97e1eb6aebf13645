import { describe, expect, it } from 'vitest';
import type { Response } from '../../../src/core/jsonrpc/message.ts';
import { editTools, ListEdits } from '../../../src/core/tools/list-edit.ts';

function listOf(text: string): Response {
  const json = JSON.parse(text);
  return { kind: 'response', text, json, id: json.id, outcome: 'result' };
}

const LIST = listOf(
  '{"id":-1, "result":{"x":1.0,"tools": [ {"name":"a","n":12345678901234567890}, {"name":"b"} ,7 ],"nextCursor":"n"},"jsonrpc":"2.0"}',
);

describe('the edited list of tools', () => {
  it('the edited list is the list itself if no tool was edited, or if it is no list', () => {
    expect(editTools(LIST, (_tool, text) => text)).toBe(LIST);
    const error = listOf('{"id":0,"error":{"code":1,"message":"no"}}');
    expect(editTools(error, () => undefined)).toBe(error);
  });

  it('the edited list keeps the bytes of everything but the edited tools', () => {
    const edited = editTools(LIST, ({ name }, text) => (name === 'b' ? '{"name":"b","more":0}' : text));
    expect(edited.text).toBe(
      '{"id":-1, "result":{"x":1.0,"tools": [{"name":"a","n":12345678901234567890},{"name":"b","more":0},7],"nextCursor":"n"},"jsonrpc":"2.0"}',
    );
    expect(edited.json).toEqual(JSON.parse(edited.text));
    expect(edited.id).toBe(-1);
  });

  it('the edited list leaves tools out, down to an empty list', () => {
    const edited = editTools(listOf('{"id":"","result":{"tools":[{"name":"a"}]}}'), () => undefined);
    expect(edited.text).toBe('{"id":"","result":{"tools":[]}}');
    expect(edited.json).toEqual({ id: '', result: { tools: [] } });
  });
});

describe('lists that one layer edits', () => {
  const again = (response: Response, id: string): Response => ({
    ...response,
    text: response.text.replace('-1', () => id),
    json: { ...response.json, id: JSON.parse(id) },
    id: JSON.parse(id),
  });

  it('a list is edited once for all clients', () => {
    const edits = new ListEdits();
    let asked = 0;
    const edit = ({ name }: { readonly name?: unknown }, text: string) => {
      asked++;
      return name === 'b' ? undefined : text;
    };
    const first = edits.of(LIST, edit);
    expect(first.text).toBe(editTools(LIST, edit).text);
    asked = 0;
    const second = edits.of(again(LIST, '"\\u0030"'), edit);
    expect(asked).toBe(0);
    expect(second.text).toContain('"id":"\\u0030"');
    expect(second.json).toEqual({ ...first.json, id: '0' });
    expect(second.json.result).toBe(first.json.result);
  });

  it('a list passes as it came if no tool was edited', () => {
    const edits = new ListEdits();
    expect(edits.of(LIST, (_tool, text) => text)).toBe(LIST);
    const later = again(LIST, '0');
    expect(edits.of(later, () => undefined)).toBe(later);
  });

  it('the edited lists of two layers are independent', () => {
    const [one, two] = [new ListEdits(), new ListEdits()];
    const drop = (dropped: string) => (tool: { readonly name?: unknown }, text: string) =>
      tool.name === dropped ? undefined : text;
    for (const id of ['0', '""']) {
      const shown = two.of(one.of(again(LIST, id), drop('a')), drop('b'));
      expect(shown.json).toMatchObject({ id: JSON.parse(id), result: { tools: [7] } });
    }
  });
});
