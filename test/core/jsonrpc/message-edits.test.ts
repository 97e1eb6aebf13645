import { describe, expect, it } from 'vitest';
import {
  cancellationOf,
  errorResponse,
  idText,
  type Message,
  type Request,
  type Response,
  toOneLine,
  withIdText,
  withoutArgument,
  withValueAt,
} from '../../../src/core/jsonrpc/message.ts';
import { withMeta } from '../../../src/core/jsonrpc/meta-edit.ts';
import { readLine, readMessages } from '../../../src/core/jsonrpc/parse.ts';
import { FRAGILE, objectText, valueText } from '../../support/json-text.ts';
import { fc } from '../../support/property.ts';

function messageOf(text: string): Message {
  const line = readLine(text);
  if (line.kind !== 'message') throw new Error(`${line.kind}: ${text}`);
  return line.message;
}

function requestOf(text: string): Request {
  const message = messageOf(text);
  if (message.kind !== 'request') throw new Error(message.kind);
  return message;
}

function only(text: string): Message {
  const [message, ...more] = readMessages(text);
  if (!message || more.length > 0) throw new Error(`not one message: ${text}`);
  return message;
}

const responseOf = (text: string): Response => {
  const message = only(text);
  if (message.kind !== 'response') throw new Error(message.kind);
  return message;
};

describe('metadata', () => {
  const request = (rest: string) => requestOf(`{"jsonrpc":"2.0","id":0,"method":"x"${rest}}`);
  it.each([
    ['no params', '', ',"params":{"_meta":{"K":"v"}}'],
    ['empty params', ',"params":{}', ',"params":{"_meta":{"K":"v"}}'],
    ['params', ',"params":{"a": 1.0}', ',"params":{"_meta":{"K":"v"},"a": 1.0}'],
    ['an empty _meta', ',"params":{"_meta":{ }}', ',"params":{"_meta":{"K":"v" }}'],
    ['other keys in _meta', ',"params":{"_meta":{"a":1e400}}', ',"params":{"_meta":{"K":"v","a":1e400}}'],
    ['the key already there', ',"params":{"_meta":{"K":0}}', ',"params":{"_meta":{"K":0}}'],
    ['the key there in escapes', ',"params":{"_meta":{"\\u004b":0}}', ',"params":{"_meta":{"\\u004b":0}}'],
    ['_meta null', ',"params":{"_meta":null}', ',"params":{"_meta":{"K":"v"}}'],
    ['_meta a list', ',"params":{"_meta":[1],"b":2}', ',"params":{"_meta":{"K":"v"},"b":2}'],
    ['params a list', ',"params":[1]', ',"params":[1]'],
    ['params null', ',"params":null', ',"params":null'],
    ['params text', ',"params":"{}"', ',"params":"{}"'],
  ])('metadata is merged into a request with %s', (_what, before, after) => {
    expect(withMeta(request(before), { K: 'v' }).text).toBe(request(after).text);
  });

  it('metadata adds missing keys and leaves those of the client', () => {
    const merged = withMeta(request(`,"params":{"_meta":{"B":"theirs"}}`), { A: '1', B: '2', C: '"' });
    expect(merged.json.params).toEqual({ _meta: { A: '1', B: 'theirs', C: '"' } });
  });

  it('one edit adds metadata that the client wins and fields that replace those of the client', () => {
    const before = request(`,"params":{"_meta":{"A":"theirs","B":"theirs"}}`);
    const merged = withMeta(before, { A: '1', C: '1' }, { B: '2', D: '2' });
    const _meta = { A: 'theirs', B: '2', C: '1', D: '2' };
    expect([merged.json.params, JSON.parse(merged.text).params]).toEqual([{ _meta }, { _meta }]);
    const created = withMeta(request(',"params":{"n":1}'), { A: '1' }, { A: '2' });
    expect(JSON.parse(created.text).params).toEqual({ _meta: { A: '2' }, n: 1 });
  });

  it('metadata keeps every other byte of a request', () => {
    const text = `{"jsonrpc":"2.0", "id":9007199254740993,"method":"x","params":{"arguments":${FRAGILE}}, "more":${FRAGILE}}`;
    const merged = withMeta(requestOf(text), { K: 'v' }).text;
    expect(merged.replace('"_meta":{"K":"v"},', '')).toBe(text);
  });

  it('metadata gives the same message as parse, assign and stringify', () => {
    fc.assert(
      fc.property(objectText, fc.dictionary(fc.string(), fc.string()), (params, additions) => {
        const before = request(`,"params":${params}`);
        const { json, text } = withMeta(before, additions);
        expect(JSON.parse(text)).toEqual(json);
        const old = JSON.parse(params);
        const meta = Object.hasOwn(old, '_meta') ? old._meta : undefined;
        const kept = typeof meta === 'object' && !Array.isArray(meta) ? meta : {};
        expect(json.params).toEqual({ ...old, _meta: { ...additions, ...kept } });
      }),
    );
  });
});

describe('an id', () => {
  it.each(['0', '-1', '""', '"1"', '1.0', '9007199254740993', '"\\u0031"', '1e400'])(
    'the id %s keeps its spelling in a cancellation and in an error response',
    (id) => {
      const request = requestOf(`{"jsonrpc":"2.0","id": ${id} ,"method":"x"}`);
      expect(cancellationOf(request, 'timed out').text).toBe(
        `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id},"reason":"timed out"}}`,
      );
      expect(errorResponse({ code: -31008, message: 'late' }, idText(request))).toMatchObject({
        text: `{"jsonrpc":"2.0","id":${id},"error":{"code":-31008,"message":"late"}}`,
        id: JSON.parse(id),
      });
    },
  );

  it('a repeated id of a server is read as JSON.parse reads it', () => {
    expect(idText(responseOf('{"jsonrpc":"2.0","id":1,"result":{},"id":2.0}'))).toBe('2.0');
    expect(idText(responseOf('{"jsonrpc":"2.0","id":{"id":2},"result":{},"id":2}'))).toBe('2');
  });

  it('the error response to a message without an id has no id, and not null', () => {
    const answer = errorResponse({ code: -32700, message: 'no' }, undefined);
    expect(answer.text).toBe('{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}');
    expect(answer.id).toBeUndefined();
  });

  it('the id of a message is replaced in place, or added if it is missing', () => {
    const edited = withIdText(responseOf(`{"jsonrpc":"2.0","result":${FRAGILE},"id":"proxy-0"}`), '0');
    expect(edited).toMatchObject({ text: `{"jsonrpc":"2.0","result":${FRAGILE},"id":0}`, id: 0 });
    const added = withIdText(responseOf('{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}'), '""');
    expect(added).toMatchObject({
      text: '{"id":"","jsonrpc":"2.0","error":{"code":1,"message":"x"}}',
      id: '',
    });
    const replaced = withIdText(
      responseOf('{"jsonrpc":"2.0","error":{"code":1,"message":"x"},"id":null}'),
      '-1',
    );
    expect(replaced).toMatchObject({
      text: '{"jsonrpc":"2.0","error":{"code":1,"message":"x"},"id":-1}',
      id: -1,
    });
  });
});

describe('a value at a path', () => {
  it('a value at a path is replaced in place, and nothing else changes', () => {
    const notification = messageOf(
      `{"jsonrpc":"2.0","method":"n","params":{"progressToken":"p","x":${FRAGILE}}}`,
    );
    const edited = withValueAt(notification, ['params', 'progressToken'], '0');
    expect(edited.text).toBe(notification.text.replace('"p"', '0'));
    expect(edited.json.params).toMatchObject({ progressToken: 0 });
    expect(withValueAt(notification, ['params', 'absent'], '0')).toBe(notification);
  });
});

describe('one line', () => {
  it('oneLine removes line ends and keeps the meaning', () => {
    fc.assert(
      fc.property(valueText, (text) => {
        const pretty = JSON.stringify(JSON.parse(text), null, '\r\n');
        expect(toOneLine(pretty)).not.toMatch(/[\r\n]/);
        expect(JSON.parse(toOneLine(pretty))).toEqual(JSON.parse(pretty));
      }),
    );
  });

  it('oneLine leaves a text that is one line already', () => {
    expect(toOneLine(FRAGILE)).toBe(FRAGILE);
    expect(toOneLine('"\u2028\u0085"')).toBe('"\u2028\u0085"');
  });
});

describe('an argument that is removed', () => {
  const without = (text: string): string => {
    const line = readLine(text);
    if (line.kind !== 'message' || line.message.kind !== 'request') throw new Error(line.kind);
    const edited = withoutArgument(line.message, 'cut');
    expect(edited.json).toEqual(JSON.parse(edited.text));
    return edited.text;
  };
  const call = (args: string, more = ''): string =>
    `{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{${more}"arguments":${args}}}`;

  it.each([
    ['{"cut":"x"}', '{}'],
    ['{ "cut" : {"a":[1,"}"]} }', '{  }'],
    ['{"cut":1, "b":1.0}', '{"b":1.0}'],
    ['{"a":9007199254740993 ,"cut":1}', '{"a":9007199254740993}'],
    ['{"a":1,"\\u0063ut":null,"b":{"cut":2}}', '{"a":1,"b":{"cut":2}}'],
    ['{"__proto__":{"x":1},"cut":1}', '{"__proto__":{"x":1}}'],
  ])('an argument is removed: %s leaves %s', (args, rest) => {
    expect(without(call(args))).toBe(call(rest));
    expect(without(call(args, '"name":"cut", '))).toBe(call(rest, '"name":"cut", '));
  });

  it.each([call('{}'), call('{"a":{"cut":1}}'), call('["cut"]'), call('"cut"'), call('null')])(
    'no argument is found in %s',
    (text) => {
      expect(without(text)).toBe(text);
    },
  );
});

describe('the place of params in a message', () => {
  const META = '"_meta":{"a":"b"}';
  const whole = (text: string): string => text.replace(/}$/, ',"jsonrpc":"2.0"}');
  it.each<[text: string, edited: string]>([
    ['{"id":1,"method":"m","params":{"x":1}}', `{"id":1,"method":"m","params":{${META},"x":1}}`],
    ['{"id":1,"method":"m","params" : {"x":1}}', `{"id":1,"method":"m","params" : {${META},"x":1}}`],
    ['{"params":{},"id":1,"method":"m"}', `{"params":{${META}},"id":1,"method":"m"}`],
    // The word as a value, in a string, and as the key of another object.
    ['{"id":1,"method":"params","params":{}}', `{"id":1,"method":"params","params":{${META}}}`],
    ['{"id":"params","method":"m","params":{}}', `{"id":"params","method":"m","params":{${META}}}`],
    [
      String.raw`{"id":"\"params\":{","method":"m","params":{}}`,
      String.raw`{"id":"\"params\":{","method":"m","params":{${META}}}`,
    ],
    [
      '{"x":{"params":{"y":1}},"id":1,"method":"m","params":{}}',
      `{"x":{"params":{"y":1}},"id":1,"method":"m","params":{${META}}}`,
    ],
    [
      '{"x":[["params"],"{"],"id":1,"method":"m","params":{}}',
      `{"x":[["params"],"{"],"id":1,"method":"m","params":{${META}}}`,
    ],
    [
      String.raw`{"id":1,"method":"m","par\u0061ms":{}}`,
      String.raw`{"id":1,"method":"m","par\u0061ms":{${META}}}`,
    ],
  ])('metadata is added to the params of the message itself: %s', (shortText, shortEdited) => {
    const [text, edited] = [whole(shortText), whole(shortEdited)];
    const message = requestOf(text);
    expect(withMeta(message, {}, { a: 'b' }).text).toBe(edited);
    expect(withMeta(message, { a: 'b' }).text).toBe(edited);
    expect(withMeta(message, {}, { a: 'b' }).json).toEqual(JSON.parse(edited));
  });
});
