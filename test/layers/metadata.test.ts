import { describe, expect, it } from 'vitest';
import type { Message } from '../../src/core/jsonrpc/message.ts';
import { readLine } from '../../src/core/jsonrpc/parse.ts';
import type { Call, Reply } from '../../src/core/pipeline/call.ts';
import { metadata, readMetadata } from '../../src/layers/metadata.ts';
import { makeCall } from '../support/make-call.ts';

const ACCEPTED: Reply = { kind: 'accepted' };

function callOf(text: string): Call {
  const line = readLine(text);
  if (line.kind !== 'message') throw new Error(line.kind);
  return { ...makeCall(line.message).call, profile: 'dev' };
}

/** The text that the next layer receives for this one. */
async function passed(text: string, additions: Record<string, string> = { AWS_REGION: 'eu-west-1' }) {
  const seen: Message[] = [];
  const asked: string[] = [];
  const handler = metadata(async (profile) => {
    asked.push(profile);
    return additions;
  })(async ({ message }) => {
    seen.push(message);
    return ACCEPTED;
  });
  expect(await handler(callOf(text))).toBe(ACCEPTED);
  return { text: seen[0]?.text, asked };
}

describe('--metadata', () => {
  it('an entry of --metadata is split at its first =, and a later one of the same key wins', () => {
    expect(readMetadata(['a=1', 'b=x=y', 'c=', 'a=2'])).toEqual({ a: '2', b: 'x=y', c: '' });
  });

  it('an entry of --metadata may have a key that means something to JavaScript', () => {
    expect(JSON.stringify(readMetadata(['__proto__=x']))).toBe('{"__proto__":"x"}');
  });
});

describe('metadata', () => {
  it("metadata of the call's profile is merged into its _meta, and every other byte stays", async () => {
    const { text, asked } = await passed(
      '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"arguments":{"n":1.0,"big":9007199254740993}}}',
    );
    expect(text).toBe(
      '{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"_meta":{"AWS_REGION":"eu-west-1"},"arguments":{"n":1.0,"big":9007199254740993}}}',
    );
    expect(asked).toEqual(['dev']);
  });

  it("metadata leaves the client's own key", async () => {
    const text = '{"jsonrpc":"2.0","id":0,"method":"x","params":{"_meta":{"AWS_REGION":"us-east-1"}}}';
    expect((await passed(text)).text).toBe(text);
  });

  it.each([
    'initialize',
    'tools/list',
    'tools/call',
    'resources/read',
    'prompts/list',
    'completion/complete',
  ])('metadata adds params to %s without any', async (method) => {
    const { text = '' } = await passed(`{"jsonrpc":"2.0","id":0,"method":"${method}"}`);
    expect(JSON.parse(text).params).toEqual({ _meta: { AWS_REGION: 'eu-west-1' } });
  });

  it.each([
    ['a method that may take no params', '{"jsonrpc":"2.0","id":0,"method":"ping"}'],
    ['an unknown method without params', '{"jsonrpc":"2.0","id":0,"method":"vendor/x"}'],
    ['a notification', '{"jsonrpc":"2.0","method":"notifications/x","params":{}}'],
    ['a response', '{"jsonrpc":"2.0","id":0,"result":{}}'],
  ])('metadata is not added to %s', async (_what, text) => {
    expect(await passed(text)).toEqual({ text, asked: [] });
  });

  it('metadata adds nothing if it is empty', async () => {
    const text = '{"jsonrpc":"2.0","id":0,"method":"tools/list"}';
    expect((await passed(text, {})).text).toBe(text);
  });
});
