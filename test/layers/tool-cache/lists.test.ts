import { expect, it } from 'vitest';
import type { Request } from '../../../src/core/jsonrpc/message.ts';
import { CachedLists, findPage } from '../../../src/layers/tool-cache/lists.ts';
import { makeCall, requestOf } from '../../support/make-call.ts';

const asking = (params: object): Request => requestOf('tools/list', params, '') as Request;
const callOf = (params: object) => makeCall(asking(params)).call;

it('pages of a list are found by their cursor, and no cursor differs from an empty one', () => {
  const list = new CachedLists().of(callOf({}));
  const first = findPage(list, asking({}));
  expect(findPage(list, asking({ cursor: '' }))).not.toBe(first);
  expect(findPage(list, asking({}))).toBe(first);
  expect(list.pages.size).toBe(2);
});

it('pages that are not kept take no more room than others', () => {
  const lists = new CachedLists();
  const list = lists.of(callOf({}));
  for (let at = 0; at < 1_500; at++) {
    findPage(list, asking({ cursor: at }));
    lists.trim(list);
  }
  expect(list.pages.size).toBe(1_000);
  expect(list.pages.has('1499')).toBe(true);
});

it('lists that were not requested for the longest time are dropped first', () => {
  const lists = new CachedLists();
  const first = lists.of(callOf({ n: 0 }));
  for (let n = 1; n < 150; n++) {
    lists.trim(lists.of(callOf({ n })));
    expect(lists.of(callOf({ n: 0 }))).toBe(first);
  }
  lists.trim(first);
  expect(lists.size).toBe(100);
});
