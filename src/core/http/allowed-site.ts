import { isLoopback } from './loopback.ts';

/** Compares the name, and the port where the rule has one. */
export function isHostAllowed(host: string | undefined, allowed: readonly string[]): boolean {
  const [, name] = /^(\[[0-9a-f:.]+\]|[^\s:/?#@[\]]+)(:\d+)?$/i.exec(host ?? '') ?? [];
  if (host === undefined || name === undefined) return false;
  if (isLoopback(name)) return true;
  return allowed.some((rule) => rule === '*' || rule === name.toLowerCase() || rule === host.toLowerCase());
}

export function isOriginAllowed(origin: string, allowed: readonly string[]): boolean {
  if (allowed.includes('*') || allowed.includes(origin.toLowerCase())) return true;
  // "null" and similar origins identify no site.
  if (!/^https?:\/\//i.test(origin) || !URL.canParse(origin)) return false;
  const url = new URL(origin);
  return url.origin === origin.toLowerCase() && isLoopback(url.hostname);
}

/** Only browsers set Sec-Fetch-Site, on every request. An unknown value is rejected. */
export const isSiteAllowed = (site: string | string[] | undefined, allowed: readonly string[]): boolean =>
  site === undefined || site === 'none' || site === 'same-origin' || allowed.includes('*');
