import { describe, expect, it } from 'vitest';
import { flagOf, variableOf } from '../src/config/option.ts';
import { envExample, optionsMarkdown } from '../src/option-docs.ts';
import { OPTIONS } from '../src/settings.ts';

const keys = Object.keys(OPTIONS);

describe('the option table of docs/options.md', () => {
  it('docs/options.md has a row for every option, with as many cells as its head', () => {
    const [head = '', ...rows] = optionsMarkdown().split('\n');
    const cells = (row: string) => row.replaceAll('\\|', '').split('|').length;
    for (const row of rows) expect(cells(row)).toBe(cells(head));
    for (const key of keys)
      expect(rows.filter((row) => row.startsWith(`| \`${flagOf(key)}`)).length).toBeGreaterThan(0);
  });
});

describe('.env.example', () => {
  it('.env.example names every variable once, empty, with its range in the comment above', () => {
    const lines = envExample().split('\n');
    for (const key of keys) {
      const at = lines.indexOf(`${variableOf(key)}=`);
      expect(lines[at - 1]).toMatch(/^# /);
      expect(lines.lastIndexOf(`${variableOf(key)}=`)).toBe(at);
    }
    expect(lines[lines.indexOf('MCP_PROXY_MAX_CONNECTIONS=') - 1]).toContain('an integer >= 1 (default: 5)');
    expect(lines).toContain('MCP_PROXY_ENDPOINT=');
  });
});
