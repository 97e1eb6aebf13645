import { canonicalText } from '../jsonrpc/canonical-json.ts';
import { isObject, type JsonObject, type Notification } from '../jsonrpc/message.ts';

/** The lists that a server can declare with `listChanged`. */
const LISTS = ['tools', 'prompts', 'resources'] as const;

export type ListName = (typeof LISTS)[number];

const methodOf = (list: ListName): string => `notifications/${list}/list_changed`;

/**
 * Creates the notification that a list has changed.
 * @param params - the member of that name as JSON text, with a comma behind it.
 */
export function listChanged(list: ListName, params = ''): Notification {
  const method = methodOf(list);
  const text = `{"jsonrpc":"2.0",${params}"method":"${method}"}`;
  return { kind: 'notification', method, text, json: JSON.parse(text) };
}

const TOOLS_CHANGED = methodOf('tools');

export const isToolsChanged = (method: string): boolean => method === TOOLS_CHANGED;

/** True where the result of `initialize` declares notifications for this list. */
export function declaresChangesOf(list: ListName, { capabilities }: JsonObject): boolean {
  const capability = isObject(capabilities) ? capabilities[list] : undefined;
  return isObject(capability) && capability.listChanged === true;
}

/**
 * Returns the notifications to send where a new session declares something else than the client's
 * `initialize` result. Only for lists where one of the two declares notifications. Pure.
 * @param before - the result of `initialize` that the client goes by.
 * @param after - that of the server as it is now.
 * @param known - lists that are known to have changed, whatever is declared.
 */
export function listChanges(
  before: JsonObject,
  after: JsonObject,
  known: readonly ListName[] = [],
): Notification[] {
  const anew = declaration(before) !== declaration(after);
  const changed = anew ? LISTS : known;
  return changed
    .filter((list) => declaresChangesOf(list, before) || declaresChangesOf(list, after))
    .map((list) => listChanged(list));
}

const declaration = ({ capabilities, serverInfo, instructions }: JsonObject): string =>
  canonicalText([capabilities, serverInfo, instructions]);
