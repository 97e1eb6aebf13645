/** Enough for what any client says of itself. */
const LONGEST_NAME = 256;

/**
 * The headers of an HTTP client's request as they go up. What the proxy sends with every request stands above what the client sends,
 * and the proxy names itself first. Pure.
 * @param own - of --header; they are added to every request further down.
 * @param userAgent - the proxy's own; `andClient` false keeps the client's name from the server.
 */
export function passageHeaders(
  headers: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
  { userAgent, andClient }: { readonly userAgent: string; readonly andClient: boolean },
): Readonly<Record<string, string>> {
  const { 'user-agent': client = '', ...rest } = headers;
  const kept = Object.entries(rest).filter(([name]) => !Object.hasOwn(own, name));
  const named = andClient ? `${userAgent} ${client.slice(0, LONGEST_NAME)}`.trim() : userAgent;
  return { ...Object.fromEntries(kept), 'user-agent': named };
}
