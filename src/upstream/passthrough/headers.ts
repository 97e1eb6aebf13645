import { ACCEPT } from '../../core/http/accept.ts';

/** More than any client's product name. */
const MAX_NAME = 256;

/**
 * The forwarded headers of an HTTP client's request. Headers of the proxy win, its product comes
 * first in the user agent, and Accept is its own, because it converts responses. Pure.
 * @param own - of --header; they are added to every request further down.
 * @param userAgent - the proxy's own; `andClient` false keeps the client's name from the server.
 */
export function toUpstreamHeaders(
  headers: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
  { userAgent, andClient }: { readonly userAgent: string; readonly andClient: boolean },
): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && !Object.hasOwn(own, name)) kept[name] = value;
  }
  const client = headers['user-agent'] ?? '';
  kept['user-agent'] = andClient ? `${userAgent} ${client.slice(0, MAX_NAME)}`.trim() : userAgent;
  kept.accept = ACCEPT;
  return kept;
}
