import { isSecretName, secretsOfUrl } from './secrets.ts';

/** The settings that may hold a secret. */
export interface SecretSettings {
  readonly headers: Readonly<Record<string, string>>;
  readonly endpoint: URL;
  readonly proxy: string | undefined;
  readonly limits?: string | undefined;
  readonly listenToken: readonly string[];
  readonly statusToken?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** Shorter values may be ordinary words: `x-team: platform` must not hide "platform" everywhere. */
const WORD = /^[A-Za-z]+$/;
const PROXY_VARIABLES = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'];
const TELEMETRY_HEADERS = ['', '_TRACES', '_METRICS'].map((signal) => `OTEL_EXPORTER_OTLP${signal}_HEADERS`);
const SCHEME = /^(?:Bearer|Basic|Token|ApiKey)\s+(\S.*)$/i;

/**
 * The secrets in the settings: header values, query secrets of the endpoint, passwords of HTTP
 * proxies and of Redis, tokens of the listener, the status page and the collector. Pure.
 */
export function configuredSecrets(settings: SecretSettings): string[] {
  const { headers, endpoint, proxy, limits, listenToken, statusToken, env } = settings;
  const ofHeaders = Object.entries(headers).flatMap(([name, value]) => {
    if (WORD.test(value) && !isSecretName(name)) return [];
    return [value, SCHEME.exec(value)?.[1] ?? ''];
  });
  const ofUrls = [
    endpoint.href,
    proxy ?? '',
    limits ?? '',
    ...PROXY_VARIABLES.map((name) => env[name] ?? ''),
  ].flatMap(partsOf);
  const ofTelemetry = TELEMETRY_HEADERS.flatMap((name) => valuesOf(env[name] ?? ''));
  return [...new Set([...ofHeaders, ...ofUrls, ...ofTelemetry, ...listenToken, statusToken ?? ''])].filter(
    (secret) => secret !== '',
  );
}

/** The values in `name=value,name=value`, both encoded and decoded. */
const valuesOf = (headers: string): string[] =>
  headers.split(',').flatMap((header) => {
    const written = header.slice(header.indexOf('=') + 1).trim();
    const value = decoded(written);
    return WORD.test(value) ? [] : [written, value, SCHEME.exec(value)?.[1] ?? ''];
  });

/** Each secret of a URL, both encoded and decoded. */
const partsOf = (url: string): string[] =>
  secretsOfUrl(url, '').flatMap(({ start, end }) => {
    const written = url.slice(start, end);
    return [written, decoded(written)];
  });

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
