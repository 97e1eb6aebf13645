import { expect, it } from 'vitest';
import { toolPage } from '../../src/commands/tool-page.ts';

const TOOL = {
  name: 'search',
  title: 'Search the docs',
  description: 'Searches all documents.\nReturns the best ones.',
  inputSchema: {
    type: 'object',
    required: ['phrase', 'sort'],
    properties: {
      phrase: { type: 'string', description: 'the words to find', minLength: 1 },
      sort: { enum: ['by date', 'by rank'], default: 'by rank' },
      limit: { type: 'integer', minimum: 1, maximum: 50, default: 10 },
      filter: { $ref: '#/$defs/Filter' },
      tags: { type: 'array', items: { type: 'string' }, maxItems: 3 },
    },
    $defs: {
      Filter: {
        type: 'object',
        required: ['field'],
        properties: { field: { type: 'string' }, not: { $ref: '#/$defs/Filter' } },
      },
    },
  },
  annotations: { readOnlyHint: true, idempotentHint: true, openWorldHint: false },
  execution: { taskSupport: 'optional' },
};

it('the page of a tool shows description, arguments, hints and an example', () => {
  expect(toolPage(TOOL, undefined)).toBe(`search - Search the docs

Searches all documents.
Returns the best ones.

Arguments:
  phrase  (string, required, at least 1 characters)
      the words to find
  sort  (string, required, one of "by date", "by rank", default "by rank")
  limit  (integer, 1 to 50, default 10)
  filter  (object)
    field  (string, required)
    not  (object)
      field  (string, required)
      not  (object)
        field  (string, required)
        not  (object)
  tags  (array of string, at most 3 entries)

Hints: read-only, idempotent, closed world, runs as a task: optional

Example:
  mcp-sigv4-proxy call search phrase=... 'sort=by rank'
`);
});

it('the page of a tool without schema and hints says so', () => {
  expect(toolPage({ name: 'x' }, undefined)).toBe(
    'x\n\nArguments:\n  none\n\nHints: none\n\nExample:\n  mcp-sigv4-proxy call x\n',
  );
});

it('the page of a tool wraps descriptions to the width of the terminal', () => {
  const description = 'It does what it says on the tin, and a little more than that.';
  const page = toolPage({ name: 'x', description }, 40);
  expect(page).toContain('It does what it says on the tin, and a\nlittle more than that.\n');
});
