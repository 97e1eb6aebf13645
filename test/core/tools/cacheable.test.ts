import { describe, expect, it } from 'vitest';
import type { Request } from '../../../src/core/jsonrpc/message.ts';
import {
  hasInputResponses,
  serverTtlMs,
  toolListOf,
  transientErrorOf,
} from '../../../src/core/tools/cacheable.ts';
import { answerOf, requestOf } from '../../support/make-call.ts';

describe('a cacheable list', () => {
  it.each<[unknown, boolean]>([
    [{ tools: [] }, true],
    [{ tools: [], resultType: 'complete' }, true],
    [{ tools: [], resultType: 'input_required' }, false],
    [{ tools: [], resultType: 'vendor' }, false],
    [{ tools: {} }, false],
    [{ resultType: 'complete' }, false],
    [[], false],
  ])('the result %j is a cacheable list: %s', (result, is) => {
    expect(toolListOf(answerOf({ result }))).toEqual(is ? result : undefined);
  });

  it('an error or a 202 is not a cacheable list', () => {
    expect(toolListOf(answerOf({ error: { code: 0, message: '' } }))).toBeUndefined();
    expect(toolListOf({ kind: 'accepted' })).toBeUndefined();
  });

  it.each([
    [undefined, false],
    [{}, false],
    [{ cursor: 'c' }, false],
    [{ inputResponses: {} }, true],
    [{ inputResponses: null }, true],
    [{ requestState: '' }, true],
  ])('a request with %j is for a cacheable list: %s', (params, oneOff) => {
    expect(hasInputResponses(requestOf('tools/list', params) as Request)).toBe(oneOff);
  });
});

it.each<[unknown, number | undefined]>([
  [undefined, undefined],
  [0, 0],
  [1, 1],
  [-1, 0],
  [null, 0],
  ['1', 0],
  [1e300, 86_400_000],
])('the ttlMs %j of a server allows %s ms', (ttlMs, ms) => {
  expect(serverTtlMs(ttlMs === undefined ? {} : { ttlMs })).toBe(ms);
});

it.each<[Record<string, unknown>, string | undefined]>([
  [{ error: { code: -32_004, message: 'Too many requests' } }, 'Too many requests'],
  [{ error: { code: -32_603, message: '' } }, ''],
  [{ error: { code: -32_601, message: 'Method not found' } }, undefined],
  [{ error: { code: -32_602, message: 'Invalid cursor' } }, undefined],
  [{ error: { code: -32_022, message: 'Unsupported' } }, undefined],
  [{ result: {} }, undefined],
])('the response %j reports a server that cannot answer now: %s', (answer, why) => {
  expect(transientErrorOf(answerOf(answer))).toBe(why);
});
