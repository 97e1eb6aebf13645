import { type DecidingKeys, findAmbiguousMembers } from './json-spans.ts';

/**
 * The keys that decide how a message is handled. Parsers disagree about repeated keys, and some
 * ignore case, such as Go's encoding/json (CVE-2026-27896). Such a message could be checked here as
 * one thing and executed there as another.
 */
const MESSAGE_KEYS = ['jsonrpc', 'id', 'method', 'params', 'result', 'error'];

const META: DecidingKeys = {
  keys: [
    'progressToken',
    'io.modelcontextprotocol/protocolVersion',
    'io.modelcontextprotocol/clientInfo',
    'io.modelcontextprotocol/clientCapabilities',
  ],
};

/** The params that the proxy acts on, by method; `_meta` counts for every method. */
const PARAMS: Readonly<Record<string, readonly string[]>> = {
  'tools/call': ['name', 'arguments', 'task', 'inputResponses', 'requestState'],
  'prompts/get': ['name', 'arguments'],
  'resources/read': ['uri'],
  'resources/subscribe': ['uri'],
  'resources/unsubscribe': ['uri'],
  'tools/list': ['cursor', 'inputResponses', 'requestState'],
  'prompts/list': ['cursor'],
  'resources/list': ['cursor'],
  'resources/templates/list': ['cursor'],
  'tasks/list': ['cursor'],
  'tasks/get': ['taskId'],
  'tasks/result': ['taskId'],
  'tasks/update': ['taskId', 'inputResponses'],
  'tasks/cancel': ['taskId'],
  'logging/setLevel': ['level'],
  'subscriptions/listen': ['notifications'],
  initialize: ['protocolVersion', 'capabilities', 'clientInfo'],
  'notifications/cancelled': ['requestId'],
  'notifications/progress': ['progressToken'],
};

/** No message may repeat these: some servers dispatch by them alone. */
const NEVER_REPEATED = ['_meta', 'name', 'arguments', 'requestId', 'progressToken', 'protocolVersion', 'uri'];

/**
 * A tool's own arguments are not restricted: whether another spelling of `aws_profile` is one, its
 * schema decides.
 */
const ARGUMENTS: DecidingKeys = { keys: ['aws_profile'], foldable: [] };

const tableOf = (params: readonly string[]): DecidingKeys => ({
  keys: MESSAGE_KEYS,
  inside: {
    params: {
      keys: [...new Set([...NEVER_REPEATED, ...params])],
      foldable: ['_meta', ...params],
      inside: { arguments: ARGUMENTS, _meta: META },
    },
  },
});

const BY_METHOD: ReadonlyMap<unknown, DecidingKeys> = new Map(
  Object.entries(PARAMS).map(([method, params]) => [method, tableOf(params)]),
);
const ANY_METHOD = tableOf([]);

export interface AmbiguousKey {
  /** The deciding key: its name, behind the names of the objects around it. */
  readonly key: string;
  /** Why it is in doubt, as a clause of an error message. */
  readonly why: string;
}

/**
 * Finds a key that another parser may read differently: a repeated deciding key, or one that equals
 * a deciding key only after case folding. An ambiguous `id` comes first, because no error can carry
 * it. Pure.
 * @param text - one message, as JSON text that JSON.parse has accepted.
 */
export function findAmbiguousKey(text: string, method: unknown): AmbiguousKey | undefined {
  const found = findAmbiguousMembers(text, BY_METHOD.get(method) ?? ANY_METHOD);
  const first = found.find(({ key }) => key === 'id') ?? found[0];
  if (!first) return undefined;
  const { key, written } = first;
  return {
    key,
    why:
      written === undefined
        ? `the key ${key} occurs more than once`
        : `the key ${ascii(written)} differs from ${key} only in case, and some servers would read it as that`,
  };
}

/** Letters that only look like ASCII ones are shown by their number. */
const ascii = (key: string): string =>
  JSON.stringify(key).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
