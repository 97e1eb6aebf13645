import { describe, expect, it } from 'vitest';
import { readEndpointEvent } from '../../../src/upstream/sse-2024/endpoint-event.ts';

const STREAM = new URL('https://h.example/base/sse?token=x');

describe('the endpoint event of an HTTP+SSE server', () => {
  it.each([
    ['an absolute path', '/messages?sessionId=a%20b', '/messages?sessionId=a%20b'],
    ['a relative path', 'messages/1\n', '/base/messages/1'],
    ['a query alone', '?sessionId=1', '/base/sse?sessionId=1'],
    ['a URL of the same origin', 'https://h.example:443/m#x', '/m'],
  ])('an endpoint event with %s names where messages are posted', (_what, text, path) => {
    expect(readEndpointEvent(text, STREAM)).toMatchObject({ host: 'h.example', path });
  });

  it.each([
    ['another host', 'https://evil.example/m', 'names https://evil.example, and messages with credentials'],
    ['a host alone', '//evil.example/m', 'names https://evil.example'],
    ['another port', 'https://h.example:444/m', 'names https://h.example:444'],
    ['another scheme', 'http://h.example/m', 'names http://h.example'],
    ['a file', 'file:///etc/passwd', 'its endpoint event names'],
    ['a login', 'https://me:secret@h.example/m', 'contains a user name or password'],
    ['no URL', 'http://[', 'contains no URL'],
    ['nothing', ' ', 'contains no URL'],
    ['a URL of 100 kB', `/${'x'.repeat(100_000)}`, 'contains no URL'],
  ])('an endpoint event with %s is refused, and its error shows no secret', (_what, text, problem) => {
    let error: unknown;
    try {
      readEndpointEvent(text, STREAM);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      reason: 'unusable-answer',
      sent: 'no',
      message: expect.stringContaining(problem),
    });
    expect(String(error)).not.toContain('secret');
    expect(String(error).length).toBeLessThan(300);
  });
});
