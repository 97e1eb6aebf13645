import { expect, it } from 'vitest';
import { Redactor } from '../../../src/core/errors/redact.ts';
import { RedactedBody, redactedHead } from '../../../src/core/http/redacted-body.ts';
import { fc } from '../../support/property.ts';

const SECRET = 'wJalr$&XUtn/FE+MI=K7MDENG-session-token';
const JSON_TYPE = { 'content-type': 'application/json' };
const EVENTS = { 'content-type': 'text/event-stream' };

/** Writes the text in pieces that end at `cuts`, and returns what reaches the client. */
async function passed(text: string, cuts: readonly number[], headers: Record<string, string>) {
  const redactor = new Redactor();
  redactor.learn(SECRET);
  const pieces: Uint8Array[] = [];
  const sink = { write: async (piece: Uint8Array) => void pieces.push(piece) };
  const body = new RedactedBody(sink, { status: 200, headers }, redactor);
  const bytes = Buffer.from(text);
  const ends = [...new Set(cuts.filter((cut) => cut < bytes.length))].sort((a, b) => a - b);
  for (const [at, end] of [...ends, bytes.length].entries())
    await body.write(bytes.subarray(ends[at - 1] ?? 0, end));
  await body.flush();
  return Buffer.concat(pieces).toString();
}

const error = (message: string) => JSON.stringify({ jsonrpc: '2.0', id: '', error: { code: -1, message } });
// The word "error" is in the first piece: an error is known by its beginning.
const laterCuts = fc.array(fc.integer({ min: 80, max: 400 }), { maxLength: 40 });

it('an error body loses its secrets and keeps its length, wherever it is split', async () => {
  const message = `é refused ${SECRET} and ${JSON.stringify({ 'x-amz-security-token': SECRET })} Signature=${'0a'.repeat(32)}`;
  for (const [text, headers] of [
    [error(message), JSON_TYPE],
    [`data: ${error(message)}\n\n`, EVENTS],
    [`event: message\r\ndata: ${error(message)}\r\n\r\n`, EVENTS],
    [`<html>${error(message)}`, { 'content-type': 'text/html' }],
  ] as const) {
    await fc.assert(
      fc.asyncProperty(laterCuts, async (cuts) => {
        const given = await passed(text, cuts, headers);
        expect(given).not.toContain('wJalr');
        expect(given).not.toContain('token"\\":\\"wJ');
        expect(given).not.toMatch(/MDENG|Signature=0/);
        expect(Buffer.byteLength(given)).toBe(Buffer.byteLength(text));
      }),
      { numRuns: 50 },
    );
  }
});

it('a long error body loses known secrets, also if they are split', async () => {
  const text = error(`${'x'.repeat(70_000)}${SECRET}${'y'.repeat(70_000)}${SECRET}`);
  const given = await passed(text, [65_600, 70_060, 70_070, 140_100, 140_125], JSON_TYPE);
  expect(given).not.toMatch(/wJalr|MDENG/);
  expect(given).toHaveLength(text.length);
});

it('a result body keeps its bytes, wherever it is split', async () => {
  const text = JSON.stringify({
    jsonrpc: '2.0',
    id: 0,
    result: { text: `é ${SECRET} Signature=${'0a'.repeat(32)}` },
  });
  await fc.assert(
    fc.asyncProperty(laterCuts, async (cuts) => {
      expect(await passed(text, cuts, JSON_TYPE)).toBe(text);
      expect(await passed(`data: ${text}\n\n`, cuts, EVENTS)).toBe(`data: ${text}\n\n`);
    }),
    { numRuns: 50 },
  );
});

it.each([
  ['content-type', `application/json; echo="${SECRET}"`],
  ['date', `Sun, 29 Nov 2026 09:02:15 GMT ${SECRET}`],
  ['connection', SECRET],
  ['x-request-id', SECRET],
])('a response header %s loses a known secret', (name, value) => {
  const redactor = new Redactor();
  redactor.learn(SECRET);
  const { headers } = redactedHead(
    { status: 200, headers: { 'content-length': '2', [name]: value } },
    redactor,
  );
  expect(headers[name]).not.toContain('wJalr');
  expect(headers['content-length']).toBe('2');
});

it('the head of an ordinary answer is returned as it is', () => {
  const redactor = new Redactor();
  redactor.learn(SECRET);
  const head = {
    status: 200,
    headers: {
      'content-type': 'application/json',
      'content-length': '81',
      date: 'Sun, 29 Nov 2026 09:02:15 GMT',
      connection: 'keep-alive',
    },
  };
  expect(redactedHead(head, redactor)).toBe(head);
});
