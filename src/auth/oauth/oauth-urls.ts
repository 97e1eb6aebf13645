import { isLoopback } from '../../core/http/loopback.ts';

/**
 * Why a URL of OAuth metadata must not be used; undefined if it may. The server and its metadata
 * are not trusted: they must not make the proxy or a browser open local services or files.
 * @param endpoint - the MCP server that the user named. Only one on this machine may name URLs on
 * this machine.
 */
export function oauthUrlProblem(url: URL, endpoint: URL): string | undefined {
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return `it has the scheme ${url.protocol.slice(0, -1)}, and only https is allowed`;
  if (url.username !== '' || url.password !== '') return 'it contains a user name or password';
  const isLocal = isLoopback(url.hostname) || url.hostname.endsWith('.localhost');
  if (isLocal && !isLoopback(endpoint.hostname))
    return `it is on this machine, but the MCP server ${endpoint.host} is not`;
  if (url.protocol === 'http:' && !isLocal) return 'it uses http, and only https is allowed';
  return undefined;
}
