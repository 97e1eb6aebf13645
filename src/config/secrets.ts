/** A part of a setting's value that no output may hold. */
export interface Secret {
  /** Where it stands in the value: the same letters may stand in it twice. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** A fitting name for the environment variable that could carry it instead. */
  readonly variable: string;
}

/** Names of parameters and entries whose value is most likely a secret. */
const SOUNDS_SECRET = /key|token|secret|passw|credential|signature|^sig$|^auth/i;

export const soundsSecret = (name: string): boolean => SOUNDS_SECRET.test(name);

/** A name as an environment variable's: `x-api-key` becomes `X_API_KEY`. */
export const variableName = (name: string): string =>
  name
    .toUpperCase()
    .replace(/[^A-Z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');

/** The value with each secret in it replaced. */
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
 * The password of a URL, or the user name where that stands alone; with those of its query's values
 * whose names sound secret.
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
    if (!soundsSecret(name)) continue;
    const start = index + whole.indexOf('=') + 1;
    secrets.push({ start, end: index + whole.length, variable: variableName(name) });
  }
  return secrets;
}

/** A text that may be a URL, without the login and the query secrets of one. */
export const urlWithoutSecrets = (text: string): string =>
  withoutSecrets(text, secretsOfUrl(text, '')).replace(/(:\/\/)[^/\s]*@/, '$1...@');
