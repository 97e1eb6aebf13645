/** A part of a setting's value that no output may hold. */
export interface Secret {
  /** The position in the value, because the same text may occur twice. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** A suitable name for an environment variable that holds the secret instead. */
  readonly variable: string;
}

/** Names of parameters and entries whose value is most likely a secret. */
const SECRET_NAME = /key|token|secret|passw|credential|signature|^sig$|^auth/i;

export const isSecretName = (name: string): boolean => SECRET_NAME.test(name);

/** Converts a name to that of an environment variable: `x-api-key` becomes `X_API_KEY`. */
export const variableName = (name: string): string =>
  name
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');

/** Replaces each secret of a value. */
export function withoutSecrets(
  value: string,
  secrets: readonly Secret[],
  shown: (secret: Secret) => string = () => '...',
): string {
  let text = value;
  for (const secret of [...secrets].sort((one, other) => other.start - one.start)) {
    text = `${text.slice(0, secret.start)}${shown(secret)}${text.slice(secret.end)}`;
  }
  return text;
}

/**
 * The password of a URL (or a user name without password), and query values with names that suggest
 * a secret.
 */
export function secretsOfUrl(url: string, password: string): Secret[] {
  const secrets: Secret[] = [];
  const login = /^((?:[\w+.-]+:\/\/)?)([^/?#\s:]*)(?::([^/?#\s]*))?@/.exec(url);
  if (login) {
    const [, scheme = '', user = '', pass] = login;
    const start = pass === undefined ? scheme.length : scheme.length + user.length + 1;
    secrets.push({ start, end: start + (pass ?? user).length, variable: password });
  }
  for (const { 0: whole, 1: name = '', index } of url.matchAll(/[?&]([^=&#]+)=[^&#]*/g)) {
    if (!isSecretName(name)) continue;
    const start = index + whole.indexOf('=') + 1;
    secrets.push({ start, end: index + whole.length, variable: variableName(name) });
  }
  return secrets;
}

/** Removes login and query secrets if the text is a URL. */
export const urlWithoutSecrets = (text: string): string =>
  withoutSecrets(text, secretsOfUrl(text, '')).replace(/(:\/\/)[^/\s]*@/, '$1...@');
