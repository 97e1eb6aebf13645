import { describe, expect, it } from 'vitest';
import {
  errorTypeOf,
  isColdStart,
  isRejectedUnread,
  meaningOf,
} from '../../../src/core/pipeline/error-type.ts';

describe('the name of an AWS error', () => {
  it.each<[string | string[] | undefined, string | undefined, string]>([
    ['ThrottlingException', undefined, 'ThrottlingException'],
    [
      'ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.availability/',
      undefined,
      'ThrottlingException',
    ],
    ['com.amazonaws.bedrock#RetryableConflictException', undefined, 'RetryableConflictException'],
    [['SlowDown', 'Other'], undefined, 'SlowDown'],
    [undefined, '{"__type":"com.amazon.coral#ThrottlingException","message":"x"}', 'ThrottlingException'],
    [undefined, '{"code":"TooManyRequestsException"}', 'TooManyRequestsException'],
    ['AccessDeniedException', '{"__type":"ThrottlingException"}', 'AccessDeniedException'],
    [undefined, '{"code":-32004}', ''],
    [undefined, '{"__type":', ''],
    [undefined, 'ThrottlingException', ''],
    [undefined, undefined, ''],
  ])('the AWS error type of the header %j and the body %s is %j', (header, body, name) => {
    expect(errorTypeOf({ 'x-amzn-errortype': header }, body)).toBe(name);
  });

  it.each([
    ['ThrottlingException', 'throttled', true],
    ['ThrottledException', 'throttled', true],
    ['ThrottlingByQuotaException', 'throttled', true],
    ['TooManyRequestsException', 'throttled', true],
    ['RequestLimitExceeded', 'throttled', true],
    ['SlowDown', 'throttled', true],
    ['RetryableConflictException', 'conflict', true],
    ['ServiceQuotaExceededException', 'quota', false],
    ['ConflictException', undefined, false],
    ['ValidationException', undefined, false],
    ['', undefined, false],
    [undefined, undefined, false],
  ])('the AWS error type %s means %s', (name, meaning, unread) => {
    expect([meaningOf(name), isRejectedUnread(name)]).toEqual([meaning, unread]);
  });
});

it.each([
  [424, 'Runtime initialization time exceeded. Please make sure that initialization completes in 30s.', true],
  [424, 'Failed Dependency', false],
  [500, 'Runtime initialization time exceeded', false],
])('the status %i with "%s" is a cold start: %s', (status, words, expected) => {
  expect(isColdStart(status, words)).toBe(expected);
});
