import { describe, expect, it } from 'vitest';
import { hasMoreContainers } from '../../../src/core/jsonrpc/containers.ts';

describe('objects and arrays of a JSON text', () => {
  it.each<[string, number]>([
    ['{}', 1],
    ['[[],{},[{"a":[1]}]]', 6],
    [`{"text":"[[[{{{"}`, 1],
    [`{"quote":"\\"[[","path":"C:\\\\","more":[]}`, 2],
    [`["${'x'.repeat(100)}\\"[[[${'y'.repeat(100)}","[["]`, 1],
    [`["${'x'.repeat(31)}\\\\",[]]`, 2],
    ['["the string has no end [[[', 1],
    ['', 0],
  ])('objects and arrays of a JSON text are counted outside strings: %s', (text, count) => {
    const bytes = Buffer.from(text);
    expect(hasMoreContainers(bytes, count)).toBe(false);
    if (count > 0) expect(hasMoreContainers(bytes, count - 1)).toBe(true);
  });
});
