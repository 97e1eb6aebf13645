import type { Message } from '../jsonrpc/message.ts';
import type { Call } from './call.ts';

/**
 * Methods that may run twice without harm: they read, or set a state to the same value again. All
 * others are re-sent only when they provably did not run.
 */
const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set([
  'initialize',
  'server/discover',
  'ping',
  'tools/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
  'prompts/get',
  'tasks/list',
  'tasks/get',
  'completion/complete',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
]);

export const isIdempotentMethod = (method: string): boolean => IDEMPOTENT_METHODS.has(method);

/**
 * True where a second delivery does no harm. Notifications and responses qualify: servers ignore a
 * second one.
 */
export const isIdempotent = (message: Message): boolean =>
  message.kind !== 'request' || isIdempotentMethod(message.method);

/** The same for a call, whose tool may have said that it only reads, or is idempotent. */
export const isIdempotentCall = ({ message, idempotent }: Pick<Call, 'message' | 'idempotent'>): boolean =>
  idempotent === true || isIdempotent(message);
