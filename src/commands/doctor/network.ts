import { lookup } from 'node:dns/promises';
import { isIP, type Socket } from 'node:net';
import { causeText } from '../../core/errors/errors.ts';
import { type Clock, systemClock } from '../../core/time/clock.ts';
import { settleWithin } from '../../core/time/waits.ts';
import type { Settings } from '../../settings.ts';
import { connectUrl, createConnector } from '../../upstream/http/connect.ts';
import { connectAdvice, plainCause } from '../../upstream/http/connect-cause.ts';
import { type ProxyChoice, proxyChoice } from '../../upstream/http/http-proxy.ts';
import { type Finding, failed, ok } from './finding.ts';

const PROXY_REMEDY = 'Check --proxy, or HTTPS_PROXY and NO_PROXY.';

const bare = (hostname: string): string => hostname.replace(/^\[|\]$/g, '');
const originOf = (url: URL): string => `${url.protocol}//${url.host}`;

/** The HTTP proxy that requests use, and which setting chose it. */
export function proxyFinding({ endpoint, connectTo, proxy, env }: Settings): {
  readonly finding: Finding;
  readonly choice: ProxyChoice | undefined;
} {
  const check = 'HTTP proxy';
  try {
    const choice = proxyChoice(connectUrl(endpoint, connectTo), { url: proxy, env });
    return { finding: ok(check, proxyText(choice)), choice };
  } catch (error) {
    return { finding: failed(check, causeText(error), PROXY_REMEDY), choice: undefined };
  }
}

function proxyText(choice: ProxyChoice): string {
  switch (choice.kind) {
    case 'none':
      return 'none';
    case 'loopback':
      return 'none: loopback connections never use an HTTP proxy';
    case 'exempt':
      return `none for this host (${choice.from})`;
    case 'proxy':
      return `${originOf(choice.url)}, from ${choice.from}`;
  }
}

export interface DnsCheck {
  readonly endpoint: URL;
  readonly choice: ProxyChoice;
  readonly limitMs: number;
  readonly clock?: Clock;
}

/** Resolves the name that this machine connects to: the endpoint's, or the HTTP proxy's. */
export async function checkDns({
  endpoint,
  choice,
  limitMs,
  clock = systemClock,
}: DnsCheck): Promise<Finding> {
  const check = 'DNS';
  const proxied = choice.kind === 'proxy';
  const host = bare(proxied ? choice.url.hostname : endpoint.hostname);
  const rest = proxied ? '; the HTTP proxy resolves the endpoint' : '';
  if (isIP(host) !== 0) return ok(check, `${host} is an IP address${rest}`);
  const remedy = proxied
    ? PROXY_REMEDY
    : 'Check the endpoint URL, and the name servers and VPN of this network.';
  const looking = lookup(host, { all: true }).catch((error: unknown) => causeText(error));
  const found = await settleWithin(clock, limitMs, looking);
  if (found === undefined) return failed(check, `${host}: no answer in ${limitMs / 1000} s`, remedy);
  if (typeof found === 'string') return failed(check, `${host} does not resolve: ${found}`, remedy);
  return ok(check, `${host} is ${found.map(({ address }) => address).join(', ')}${rest}`);
}

export interface ConnectionCheck {
  readonly settings: Settings;
  readonly choice: ProxyChoice;
  /** Trusted certificates, for an HTTP proxy with an https URL. */
  readonly ca: readonly string[] | undefined;
  readonly limitMs: number;
  readonly clock?: Clock;
}

/** Opens a socket as requests do, but without TLS. The caller closes it. */
export async function checkConnection({
  settings,
  choice,
  ca,
  limitMs,
  clock = systemClock,
}: ConnectionCheck): Promise<{ readonly finding: Finding; readonly socket: Socket | undefined }> {
  const check = 'connection';
  const { proxy, env } = settings;
  const endpoint = connectUrl(settings.endpoint, settings.connectTo);
  const port = endpoint.port || (endpoint.protocol === 'https:' ? '443' : '80');
  const connect = createConnector({ proxy: { url: proxy, env }, ca, timeoutMs: limitMs, tcpOnly: true });
  const started = clock.monotonic();
  const opened = await new Promise<Socket | Error>((resolve) => {
    const { protocol, hostname } = endpoint;
    connect({ protocol, hostname, port }, (error, socket) =>
      resolve(error ?? socket ?? new Error('no socket')),
    );
  });
  if (opened instanceof Error) {
    const cause = plainCause(causeText(opened));
    return { finding: failed(check, cause, connectAdvice(cause).trim()), socket: undefined };
  }
  const ms = Math.round(clock.monotonic() - started);
  const through = choice.kind === 'proxy' ? ', through the HTTP proxy' : '';
  return {
    finding: ok(check, `${bare(endpoint.hostname)} port ${port} in ${ms} ms${through}`),
    socket: opened,
  };
}
