import { expect, it } from 'vitest';
import { deriveHttpContext } from '../../../src/core/pipeline/http-context.ts';

it('a request of a layer has the session and revision of its call, and its own method', () => {
  const headers = {
    'mcp-session-id': 'one',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': 'add',
    'mcp-param-region': 'eu-west-1',
    accept: 'application/json, text/event-stream',
  };
  const pass = () => ({ write: async () => undefined });
  expect(deriveHttpContext({ headers, pass }, 'tools/list')).toEqual({
    headers: {
      'mcp-session-id': 'one',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/list',
      accept: 'application/json, text/event-stream',
    },
  });
});

it('a request of a layer has no method header in a revision that lacks it', () => {
  expect(deriveHttpContext({ headers: { 'mcp-session-id': 'one' } }, 'tools/list')).toEqual({
    headers: { 'mcp-session-id': 'one' },
  });
});
