import { isObject, type JsonObject, type Notification } from '../../core/message.ts';

/** What a server declares with `listChanged`, and what tells the client that it changed. */
const LISTS = ['tools', 'prompts', 'resources'] as const;

/**
 * What the client is told where the server behind a new session declares something else than the one before: a client keeps its
 * lists until it hears that they changed. Pure.
 * @param before - the result of `initialize` on the former session.
 */
export function listChanges(before: JsonObject, after: JsonObject): Notification[] {
  if (declaration(before) === declaration(after)) return [];
  const { capabilities } = after;
  return LISTS.filter((list) => {
    const capability = isObject(capabilities) ? capabilities[list] : undefined;
    return isObject(capability) && capability.listChanged === true;
  }).map(listChanged);
}

const declaration = ({ capabilities, serverInfo, instructions }: JsonObject): string =>
  JSON.stringify([capabilities, serverInfo, instructions]);

function listChanged(list: string): Notification {
  const method = `notifications/${list}/list_changed`;
  const json = { jsonrpc: '2.0', method };
  return { kind: 'notification', method, json, text: JSON.stringify(json) };
}
