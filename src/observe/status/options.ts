import { flagOf, type OptionValues, text } from '../../config/option.ts';
import { readAddress } from '../../core/http/listen-address.ts';
import { isLoopback } from '../../core/http/loopback.ts';

const MIN_TOKEN = /^[\x21-\x7e]{16,}$/;

export const statusOptions = {
  status: text({
    group: 'Observability',
    common: true,
    placeholder: 'host:port',
    fallback: undefined,
    check: (value) => (readAddress(value) ? undefined : 'must be host:port such as 127.0.0.1:9464'),
    help: 'serve a status page at http://host:port/, with /metrics for Prometheus and /status.json; port 0 = any free port',
  }),
  statusToken: text({
    group: 'Observability',
    needs: 'status',
    placeholder: 'secret',
    fallback: undefined,
    check: (value) =>
      MIN_TOKEN.test(value)
        ? undefined
        : 'needs at least 16 characters, printable ASCII without blanks, as openssl rand -hex 24 gives',
    secrets: (value) => [{ start: 0, end: value.length, variable: 'MCP_PROXY_STATUS_TOKEN' }],
    help: 'secret that --status requires, as bearer token or as the password of a browser; required unless --status is a loopback address. The variable keeps the secret out of process lists, the flag does not',
  }),
} as const;

/** Returns the problems of the options taken together. Pure. */
export function statusProblems(
  { status, statusToken }: OptionValues<typeof statusOptions>,
  from: Readonly<Partial<Record<string, string>>>,
): string[] {
  const address = status === undefined ? undefined : readAddress(status);
  if (!address || isLoopback(address.host) || statusToken !== undefined) return [];
  return [
    `${from.status ?? flagOf('status')} ${status} can be reached from other machines, which would see your account and calls: set --status-token (or MCP_PROXY_STATUS_TOKEN), or listen on 127.0.0.1`,
  ];
}
