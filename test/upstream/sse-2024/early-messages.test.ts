import { describe, expect, it } from 'vitest';
import { EarlyMessages } from '../../../src/upstream/sse-2024/early-messages.ts';

describe('messages that an HTTP+SSE server sends before its client has opened a stream', () => {
  it('early messages are taken once, in their order', () => {
    const early = new EarlyMessages();
    for (const text of ['a', 'b']) expect(early.keep(Buffer.from(text))).toBe(true);
    expect(early.takeAll().map(String)).toEqual(['a', 'b']);
    expect(early.takeAll()).toEqual([]);
  });

  it.each([
    ['messages', 1, 64],
    ['bytes', 64 * 1024, 4],
  ])(
    'early messages are bounded in %s, and the bound is free again after they are taken',
    (_what, size, kept) => {
      const early = new EarlyMessages();
      const keep = (): boolean => early.keep(Buffer.alloc(size));
      expect(Array.from({ length: kept }, keep).every(Boolean)).toBe(true);
      expect(keep()).toBe(false);
      expect(early.takeAll()).toHaveLength(kept);
      expect(keep()).toBe(true);
    },
  );
});
