import { expect, it } from 'vitest';
import { SessionUsers } from '../../../src/client/http/session-users.ts';

const opened = (session: string, status = 200) => ({ status, headers: { 'mcp-session-id': session } });

it.each([
  ['its own user', 'alice', undefined],
  ['another user', 'bob', 404],
  ['a caller without a name', undefined, undefined],
])('a session that a server has opened for alice, used by %s', (_who, user, status) => {
  const sessions = new SessionUsers();
  sessions.recordAnswer(opened('s-1'), {}, 'alice');
  sessions.recordAnswer(opened('s-1'), {}, 'bob');
  expect(sessions.refusal('s-1', user)?.status).toBe(status);
  expect(sessions.refusal('s-2', user)).toBeUndefined();
  expect(sessions.refusal(undefined, user)).toBeUndefined();
});

it('a session of another replica belongs to the first user that the server answers on it', () => {
  const sessions = new SessionUsers();
  const headers = { 'mcp-session-id': 's-1' };
  sessions.recordAnswer({ status: 404, headers: {} }, headers, 'bob');
  sessions.recordAnswer({ status: 200, headers: {} }, headers, 'alice');
  expect([sessions.refusal('s-1', 'alice'), sessions.refusal('s-1', 'bob')?.status]).toEqual([
    undefined,
    404,
  ]);
});
