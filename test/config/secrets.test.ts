import { describe, expect, it } from 'vitest';
import { isSecretName, secretsOfUrl, variableName, withoutSecrets } from '../../src/config/secrets.ts';

const masked = (url: string): string => withoutSecrets(url, secretsOfUrl(url, 'PASSWORD'));

describe('a URL without its secrets', () => {
  it.each([
    ['http://proxy.corp:8080', 'http://proxy.corp:8080'],
    ['http://me:pass@proxy.corp:8080/', 'http://me:...@proxy.corp:8080/'],
    ['http://token@proxy.corp', 'http://...@proxy.corp'],
    ['me:pass@proxy.corp:8080', 'me:...@proxy.corp:8080'],
    // The host must not be taken for the password because it holds the same letters.
    ['http://corp:corp@corp.example', 'http://corp:...@corp.example'],
    ['http://me:a:b@c@proxy.corp', 'http://me:...@proxy.corp'],
    ['http://me:@proxy.corp', 'http://me:...@proxy.corp'],
    ['https://a.example/mcp?qualifier=DEFAULT', 'https://a.example/mcp?qualifier=DEFAULT'],
    [
      'https://a.example/mcp?api_key=s3&q=1&X-Amz-Signature=ab#x',
      'https://a.example/mcp?api_key=...&q=1&X-Amz-Signature=...#x',
    ],
    ['https://a.example/@me:x', 'https://a.example/@me:x'],
  ])('the secrets of a URL are masked: %s', (url, shown) => {
    expect(masked(url)).toBe(shown);
  });

  it('the replacement of a secret in a URL can be chosen', () => {
    const url = 'http://me:pass@proxy/?token=abc';
    const shown = withoutSecrets(url, secretsOfUrl(url, 'PASSWORD'), ({ variable }) => `\${${variable}}`);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text contains it
    expect(shown).toBe('http://me:${PASSWORD}@proxy/?token=${TOKEN}');
  });
});

describe('names', () => {
  it.each(['api_key', 'X-Api-Key', 'authToken', 'password', 'passwd', 'sig', 'CREDENTIALS'])(
    'the name %s marks a secret',
    (name) => expect(isSecretName(name)).toBe(true),
  );

  it.each(['qualifier', 'region', 'design', 'INSTALL_SOURCE'])('the name %s does not mark a secret', (name) =>
    expect(isSecretName(name)).toBe(false),
  );

  it('the name of a header or field becomes the name of a variable', () => {
    expect(variableName('x-api-key: ')).toBe('X_API_KEY');
    expect(variableName('a.b')).toBe('A_B');
  });
});
