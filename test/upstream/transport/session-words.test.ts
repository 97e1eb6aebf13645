import { describe, expect, it } from 'vitest';
import { isAboutLostSession } from '../../../src/upstream/transport/session-words.ts';

describe('texts that report a lost MCP session', () => {
  it.each([
    'Unauthorized: Session not found',
    'Unknown Mcp-Session-Id header',
    'Not Found: Unknown Mcp-Session-Id header',
    'unknown mcp-session-id: abc-def',
    'No active session',
    'Server not initialized',
    'Bad Request: Server not initialized',
    'Bad Request: No valid session ID provided',
    'Unauthorized: No valid session ID provided',
    'Bad Request: No valid session ID or not an initialize request',
    'The provided SessionId was not found or has expired, please re-initialize your connection.',
    'session_not_found',
    'Missing or unknown Mcp-Session-Id — call initialize first',
    'Session not found. Send an initialize POST first.',
    'Could not find session',
    'Failed to find session',
    'No session found for id',
    'No transport found for sessionId',
    'Session terminated',
    'Session has been terminated',
    'Session timed out',
    'Session expired',
    'Your session has expired',
    'Session does not exist',
    "Session doesn't exist",
    'session no longer exists',
    'The session is not active.',
    'Invalid session id: 12345',
    'Session 1234 not found',
    'Session with id 3f2a-77 is not found',
    'Missing or invalid Mcp-Session-Id header',
    'MCP session id not recognized',
    'SessionNotFoundException',
    'Session not initialized',
    'Received request before initialization was complete',
    'method "tools/call" is invalid during session initialization',
  ])('the text "%s" reports a lost MCP session', (text) => {
    expect(isAboutLostSession(text)).toBe(true);
  });
});

describe('texts about something else', () => {
  it.each([
    'Your AWS session token has expired. Please refresh',
    'Session ID token expired',
    'The SSO session associated with this profile has expired',
    'Session expired. Please log in again',
    'You do not have permission to access this session',
    'The request signature we calculated does not match: invalid session',
    'Browser session not found',
    'Browser session abc not found',
    'Database session expired',
    'User session expired',
    'terminal session is closed',
    'Alias server not initialized',
    'Slack client not initialized',
    'Invalid params: missing session_id',
    'invalid session_id argument',
    'Invalid session state for this tool',
    'Too many sessions',
    'session limit exceeded',
    'Cannot create session',
    'Unknown tool: session',
    'Resource not found: sessions/1',
    'Internal error',
    '',
  ])('the text "%s" does not report a lost MCP session', (text) => {
    expect(isAboutLostSession(text)).toBe(false);
  });
});

describe('the id in an error text', () => {
  it.each([
    ['Session s-1 not found', true],
    ['Session not found', true],
    ['Unknown session: s-1', true],
    ['Session abc not found', false],
    ['Unknown session: s-7', false],
    ['Session "draft" has expired', false],
  ])('the id in an error text decides if the request carried s-1: %s -> %s', (text, lost) => {
    expect(isAboutLostSession(text, 's-1')).toBe(lost);
  });
});
