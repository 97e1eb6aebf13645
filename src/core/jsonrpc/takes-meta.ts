import type { Message, Request } from './message.ts';

/**
 * Methods that accept `params._meta`. Where a request has params, `_meta` is added for any method;
 * params are created for these only, because others may be refused with params.
 */
const TAKES_PARAMS: ReadonlySet<string> = new Set([
  'initialize',
  'tools/list',
  'tools/call',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'tasks/list',
  'tasks/get',
]);

/** True for a request to whose `params._meta` fields may be added. */
export const takesMeta = (message: Message): message is Request =>
  message.kind === 'request' && ('params' in message.json || TAKES_PARAMS.has(message.method));
