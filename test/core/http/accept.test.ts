import { expect, it } from 'vitest';
import { acceptedForms } from '../../../src/core/http/accept.ts';

it.each([
  [undefined, true, true],
  ['*/*', true, true],
  ['application/json, text/event-stream', true, true],
  ['text/event-stream, application/json', true, true],
  ['application/json', true, false],
  ['Application/JSON; charset=utf-8', true, false],
  ['application/*', true, false],
  ['text/event-stream', false, true],
  ['text/*', false, true],
  ['*/*;q=0.1, application/json;q=0', false, true],
  ['*/*, text/event-stream; q=0.0', true, false],
  ['text/html', false, false],
  ['application/jsonl', false, false],
  ['', false, false],
])('the header Accept %j accepts JSON: %s, events: %s', (header, json, events) => {
  expect(acceptedForms(header)).toEqual({ json, events });
});
