import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../src/core/jsonrpc/message.ts';
import {
  declaresChangesOf,
  isToolsChanged,
  listChanged,
  listChanges,
} from '../../../src/core/tools/list-changes.ts';

const ALL = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true },
};
const before: JsonObject = { protocolVersion: '2025-11-25', capabilities: ALL, serverInfo: { version: '1' } };
const changes = (was: JsonObject, is: JsonObject): string[] => listChanges(was, is).map(({ text }) => text);

const said = (list: string): string => `{"jsonrpc":"2.0","method":"notifications/${list}/list_changed"}`;

describe('list changes of a new session', () => {
  it('a new session with equal declarations emits no list change, whatever else differs', () => {
    expect(changes(before, { ...before })).toEqual([]);
    expect(changes(before, { ...before, _meta: { host: 'b' } })).toEqual([]);
    expect(changes({}, {})).toEqual([]);
  });

  it.each<[what: string, after: JsonObject]>([
    ['another version', { ...before, serverInfo: { version: '2' } }],
    ['other instructions', { ...before, instructions: 'be brief' }],
    ['a new capability', { ...before, capabilities: { ...ALL, logging: {} } }],
  ])('a new session emits that every list changed if it declares %s', (_what, after) => {
    expect(changes(before, after)).toEqual(['tools', 'prompts', 'resources'].map(said));
  });

  it('a new session emits changes only of lists that its server or the previous one declared', () => {
    const some = { tools: { listChanged: true }, prompts: { listChanged: false }, resources: {} };
    const none = { tools: true, prompts: null };
    const having = (capabilities: unknown): JsonObject => ({ ...before, capabilities });
    expect(changes(having(some), having(none))).toEqual([said('tools')]);
    expect(changes(having(none), having(some))).toEqual([said('tools')]);
    expect(changes(having(none), having('none'))).toEqual([]);
  });

  it('a new session emits a list that is known to have changed, even with equal declarations', () => {
    expect(listChanges(before, before, ['tools']).map(({ text }) => text)).toEqual([said('tools')]);
    expect(listChanges({}, {}, ['tools'])).toEqual([]);
  });

  it('a new session emits list changes as messages that the layers can read', () => {
    const [change] = listChanges(before, { ...before, serverInfo: {} });
    expect(change).toMatchObject({ kind: 'notification', method: 'notifications/tools/list_changed' });
    expect(JSON.parse(change?.text ?? '')).toEqual(change?.json);
  });
});

it('a list change is the notification of the protocol', () => {
  const { text, json, method } = listChanged('tools');
  expect(json).toEqual({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
  expect(JSON.parse(text)).toEqual(json);
  expect(isToolsChanged(method)).toBe(true);
  expect(isToolsChanged(listChanged('prompts').method)).toBe(false);
});

it.each([
  [{ capabilities: { tools: { listChanged: true } } }, true],
  [{ capabilities: { tools: { listChanged: 'yes' } } }, false],
  [{ capabilities: { tools: true } }, false],
  [{ capabilities: [] }, false],
  [{}, false],
])('the initialize result %j declares changes of tools: %s', (result, promised) => {
  expect(declaresChangesOf('tools', result)).toBe(promised);
});
