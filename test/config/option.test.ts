import { describe, expect, it } from 'vitest';
import {
  boundsOf,
  decimal,
  flagOf,
  integer,
  list,
  type Option,
  readOption,
  text,
  timeLimit,
  toggle,
  variableOf,
} from '../../src/config/option.ts';

const base = { group: 'Connections', help: '' } as const;
const whole = integer({ ...base, placeholder: 'n', min: 1, fallback: 5 });
const bounded = integer({ ...base, placeholder: 'n', min: 0, max: 10, fallback: 2 });
const seconds = timeLimit({ ...base, fallback: 10 });
const positive = decimal({ ...base, placeholder: 's', min: 0, above: true, fallback: 30 });
const anyNumber = integer({
  ...base,
  placeholder: 'n',
  min: Number.NEGATIVE_INFINITY,
  fallback: -32001,
});
const choice = text({ ...base, placeholder: 'kind', choices: ['a', 'b'], fallback: 'a' });
const checked = text({
  ...base,
  placeholder: 'x',
  fallback: undefined,
  check: (value) => (value === 'good' ? undefined : 'must be good'),
});
const words = list({ ...base, placeholder: 'name', separator: 'words' });
const entries = list({
  ...base,
  placeholder: 'k=v',
  separator: 'entries',
  check: (entry) => (entry.includes('=') ? undefined : `must be k=v, not "${entry}"`),
});
const flag = toggle(base);

const read = (option: Option, ...raw: string[]) => readOption(option, raw, 'flag');

describe('a number', () => {
  it.each([
    [whole, '1', 1],
    [whole, '16', 16],
    [whole, '007', 7],
    [seconds, '0', 0],
    [seconds, '1.5', 1.5],
    [seconds, '5s', 5],
    [seconds, '500ms', 0.5],
    [seconds, '1.5m', 90],
    [seconds, '1h', 3_600],
    [seconds, '0m', 0],
    [positive, '0.001', 0.001],
    [anyNumber, '-32001', -32001],
    [bounded, '10', 10],
  ])('a number accepts values within its bounds', (option, raw, value) => {
    expect(read(option, raw)).toEqual({ value });
  });

  it.each([
    [whole, '0', 'must be an integer >= 1'],
    [whole, '-1', 'must be an integer >= 1'],
    [whole, '1.5', 'must be an integer >= 1'],
    [whole, '1e3', 'must be an integer >= 1'],
    [whole, '0x10', 'must be an integer >= 1'],
    [whole, ' 1', 'must be an integer >= 1'],
    [whole, '', 'must be an integer >= 1'],
    [whole, 'Infinity', 'must be an integer >= 1'],
    [whole, 'NaN', 'must be an integer >= 1'],
    [whole, '9007199254740993', 'must be an integer >= 1'],
    [seconds, '-0.1', 'must be a number of seconds >= 0'],
    [seconds, '-5s', 'must be a number of seconds >= 0'],
    [seconds, '5 s', 'must be a number of seconds >= 0'],
    [seconds, '5d', 'must be a number of seconds >= 0'],
    [seconds, 'ms', 'must be a number of seconds >= 0'],
    [seconds, '1e3s', 'must be a number of seconds >= 0'],
    [whole, '5s', 'must be an integer >= 1'],
    [positive, '0', 'must be a number of seconds > 0'],
    [bounded, '11', 'must be an integer from 0 to 10'],
    [anyNumber, 'x', 'must be an integer'],
  ])('a number outside its bounds is refused with the allowed range', (option, raw, problem) => {
    expect(read(option, raw)).toEqual({ problem });
  });

  it('a repeated number takes its last value', () => {
    expect(read(whole, '3', '4')).toEqual({ value: 4 });
  });
});

describe('a switch', () => {
  it.each([
    ['true', true],
    ['1', true],
    ['false', false],
    ['0', false],
  ])('a switch accepts %s', (raw, value) => {
    expect(read(flag, raw)).toEqual({ value });
  });

  it.each(['yes', 'TRUE', 'on', '', '2'])('a switch refuses "%s"', (raw) => {
    expect(read(flag, raw)).toEqual({ problem: 'must be true, false, 1 or 0' });
  });
});

describe('a text', () => {
  it('a text is one of its choices, spelled exactly', () => {
    expect(read(choice, 'b')).toEqual({ value: 'b' });
    expect(read(choice, 'B')).toEqual({ problem: 'must be one of a, b' });
  });

  it('a text passes its check or is refused with the message of the check', () => {
    expect(read(checked, 'good')).toEqual({ value: 'good' });
    expect(read(checked, 'bad')).toEqual({ problem: 'must be good' });
  });
});

describe('a list', () => {
  it.each(['flag', 'variable'] as const)(
    'a list of words is split at commas and blanks when given by %s',
    (from) => {
      expect(readOption(words, ['a,b  c', ', d\t,,e\n'], from)).toEqual({ value: ['a', 'b', 'c', 'd', 'e'] });
      expect(readOption(words, ['', 'a'], from)).toEqual({ value: ['a'] });
    },
  );

  it('a list that is given without entries differs from a list that is not given', () => {
    const problem = 'must be a list, separated by commas or blanks, and names nothing';
    expect(readOption(words, [' , '], 'flag')).toEqual({ problem });
    expect(readOption(words, [' '], 'flag')).toEqual({ problem });
    expect(readOption(words, [' , '], 'variable')).toEqual({ problem });
    expect(readOption(words, [' \n'], 'variable')).toEqual({ value: [] });
    expect(readOption(entries, ['\t'], 'flag')).toHaveProperty('problem');
  });

  it('a list of entries keeps commas and blanks, and a variable holds one entry a line', () => {
    expect(readOption(entries, ['a=1, 2', 'b=3\n4'], 'flag')).toEqual({ value: ['a=1, 2', 'b=3\n4'] });
    expect(readOption(entries, ['a=1, 2\r\n\n  \nb=3'], 'variable')).toEqual({ value: ['a=1, 2', 'b=3'] });
  });

  it('a list reports all its invalid entries at once', () => {
    expect(readOption(entries, ['a', 'b=1', 'c'], 'flag')).toEqual({
      problem: 'must be k=v, not "a"; must be k=v, not "c"',
    });
  });
});

describe('names and bounds', () => {
  it('flag and variable names come from the key', () => {
    expect(flagOf('maxKeepaliveConnections')).toBe('--max-keepalive-connections');
    expect(variableOf('maxKeepaliveConnections')).toBe('MCP_PROXY_MAX_KEEPALIVE_CONNECTIONS');
    expect(flagOf('proxy')).toBe('--proxy');
  });

  it.each([
    [words, 'a list, separated by commas or blanks'],
    [entries, 'one entry per flag, or one per line in the variable'],
    [checked, 'text'],
    [anyNumber, 'an integer'],
  ])('the bounds of an option are described in a phrase', (option, phrase) => {
    expect(boundsOf(option)).toBe(phrase);
  });
});
