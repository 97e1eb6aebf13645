import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { BinDriver } from './bin-driver.ts';
import { sendJson } from './mcp-answers.ts';
import { errorOf } from './mcp-behaviours.ts';
import { type RelayedOptions, startRelayed } from './relayed.ts';
import type { Behaviour, RecordedRequest, ScriptedServer } from './scripted-server.ts';

/** A key pair per account, and what a profile of the shared files says of it. */
export const keyOf = (account: string): string => `AKID${account.toUpperCase()}`;
export const secretOf = (account: string): string => `secret-of-${account}`;
export const keyLines = (account: string): string =>
  `aws_access_key_id = ${keyOf(account)}\naws_secret_access_key = ${secretOf(account)}\n`;
export const profileLines = (account: string, more = ''): string =>
  `[profile ${account}]\n${keyLines(account)}${more}`;

/** What AWS's stand-ins issue, as the verifier has to know it. */
export const issuedKeys = Object.fromEntries(
  ['STS', 'SSO', 'LOGIN', 'IMDS', 'CONTAINER'].flatMap((kind) =>
    Array.from({ length: 9 }, (_, at) => [
      `${kind}-${at + 1}`,
      { secretAccessKey: `secret-${kind}-${at + 1}`, sessionToken: `token-${kind}-${at + 1}` },
    ]),
  ),
);

/** One request, as far as it tells whose it was. */
export interface Seen {
  /** The access key that signed it. */
  readonly key: string;
  /** JSON-RPC method, or GET or DELETE. */
  readonly method: string;
  readonly session: string | undefined;
  readonly params: Record<string, unknown>;
  readonly request: RecordedRequest;
}

export interface AccountsOptions extends Omit<RelayedOptions, 'before' | 'verify' | 'credentials'> {
  /** Of --profile; each has keys of its own in the shared files unless `files` says otherwise. */
  readonly profiles: readonly string[];
  /** false = --profile is not given. */
  readonly flag?: false;
  /** Says what the server does for a key's request instead; undefined = what it always does. */
  readonly before?: (seen: Seen) => Behaviour | undefined;
}

/**
 * The bin with several profiles, before a server whose sessions belong to the key that opened them,
 * as those of AWS do.
 */
export interface Accounts {
  readonly server: ScriptedServer;
  readonly bin: BinDriver;
  readonly seen: readonly Seen[];
  /**
   * The requests of one method, as `key session-number`; sessions count from 1 in the order of
   * their opening.
   */
  by(method: string): string[];
  of(account: string, method?: string): Seen[];
  /** Calls a tool and gives the whole answer. */
  call(name: string, args?: Record<string, unknown>, id?: unknown): Promise<Record<string, unknown>>;
  until(account: string, method: string, count?: number): Promise<void>;
  /** Writes a file below HOME. */
  write(path: string, text: string): void;
  /** Forgets the sessions of the key, as a server that restarts does. */
  forgetSessionsOf(account: string): void;
}

const keyIn = ({ verification }: RecordedRequest): string =>
  verification?.ok ? verification.accessKeyId : 'refused';

export async function startAccounts(options: AccountsOptions): Promise<Accounts> {
  const { profiles, flag, before, args = [], files = {}, env = {}, ...session } = options;
  const owners = new Map<string, string>();
  const seen: Seen[] = [];
  const remember =
    (next: Behaviour): Behaviour =>
    async (request, response) => {
      const key = keyIn(request);
      const { 'mcp-session-id': header } = request.headers;
      const id = typeof header === 'string' ? header : undefined;
      const method = request.method === 'POST' ? (request.rpc.method ?? 'response') : request.method;
      const one: Seen = { key, method, session: id, params: request.rpc.params ?? {}, request };
      seen.push(one);
      if (id !== undefined && owners.get(id) !== key) {
        sendJson(response, 404, errorOf(request.rpc.id ?? null, -30001, 'Session not found'));
        return;
      }
      await (before?.(one) ?? next)(request, response);
      const opened = response.getHeader('mcp-session-id');
      if (method === 'initialize' && typeof opened === 'string') owners.set(opened, key);
    };
  const known = Object.fromEntries(
    profiles.map((name) => [keyOf(name), { secretAccessKey: secretOf(name) }]),
  );
  const { server, bin } = await startRelayed({
    ...session,
    args: [...(flag === false ? [] : ['--profile', ...profiles]), ...args],
    env: { AWS_EC2_METADATA_DISABLED: 'true', ...env },
    files: { '.aws/config': profiles.map((name) => profileLines(name)).join(''), ...files },
    credentials: false,
    before: remember,
    verify: { service: 'execute-api', region: 'eu-west-1', keys: { ...known, ...issuedKeys } },
  });
  let calls = 0;
  const numbers = new Map<string, number>();
  const numberOf = (id: string): number => {
    for (const name of owners.keys()) if (!numbers.has(name)) numbers.set(name, numbers.size + 1);
    return numbers.get(id) ?? 0;
  };
  const of = (account: string, method?: string): Seen[] =>
    seen.filter((one) => one.key === keyOf(account) && (method === undefined || one.method === method));
  return {
    server,
    bin,
    seen,
    of,
    by: (method) =>
      seen
        .filter((one) => one.method === method)
        .map(({ key, session: id }) => (id === undefined ? key : `${key} ${numberOf(id)}`)),
    call: (name, given = {}, id = `call-${++calls}`) =>
      bin.request('tools/call', { name, arguments: given }, id),
    until: (account, method, count = 1) => server.until(() => of(account, method).length >= count),
    write(path, text) {
      mkdirSync(dirname(join(bin.home, path)), { recursive: true });
      writeFileSync(join(bin.home, path), text);
    },
    forgetSessionsOf(account) {
      for (const [id, key] of owners) if (key === keyOf(account)) owners.set(id, 'nobody');
    },
  };
}
