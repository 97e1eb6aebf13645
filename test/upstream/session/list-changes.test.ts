import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../src/core/message.ts';
import { listChanges } from '../../../src/upstream/session/list-changes.ts';

const ALL = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true },
};
const before: JsonObject = { protocolVersion: '2025-11-25', capabilities: ALL, serverInfo: { version: '1' } };
const changes = (was: JsonObject, is: JsonObject): string[] => listChanges(was, is).map(({ text }) => text);

const said = (list: string): string => `{"jsonrpc":"2.0","method":"notifications/${list}/list_changed"}`;

describe('after another session took over, the client hears', () => {
  it('nothing where the server declares the same, whatever else it says', () => {
    expect(changes(before, { ...before })).toEqual([]);
    expect(changes(before, { ...before, _meta: { host: 'b' } })).toEqual([]);
    expect(changes({}, {})).toEqual([]);
  });

  it.each<[what: string, after: JsonObject]>([
    ['another version', { ...before, serverInfo: { version: '2' } }],
    ['other instructions', { ...before, instructions: 'be brief' }],
    ['a new capability', { ...before, capabilities: { ...ALL, logging: {} } }],
  ])('that every list changed where it declares %s', (_what, after) => {
    expect(changes(before, after)).toEqual(['tools', 'prompts', 'resources'].map(said));
  });

  it('only of lists whose changes the new server tells', () => {
    const capabilities = { tools: { listChanged: true }, prompts: { listChanged: false }, resources: {} };
    expect(changes(before, { ...before, capabilities })).toEqual([said('tools')]);
    expect(changes(before, { ...before, capabilities: { tools: true, prompts: null } })).toEqual([]);
    expect(changes(before, { ...before, capabilities: 'none' })).toEqual([]);
  });

  it('as messages that the layers can read', () => {
    const [change] = listChanges(before, { ...before, serverInfo: {} });
    expect(change).toMatchObject({ kind: 'notification', method: 'notifications/tools/list_changed' });
    expect(JSON.parse(change?.text ?? '')).toEqual(change?.json);
  });
});
