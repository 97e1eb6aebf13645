import { list } from '../config/option.ts';
import { ProxyError } from '../core/errors/errors.ts';
import { foldCase, insertMember, valueStartOf } from '../core/jsonrpc/json-spans.ts';
import { outlineJsonOf } from '../core/jsonrpc/long-answer.ts';
import {
  isObject,
  type JsonObject,
  type Notification,
  paramsOf,
  type Request,
  type Response,
  withoutArgument,
} from '../core/jsonrpc/message.ts';
import { shortKey } from '../core/jsonrpc/short-key.ts';
import type { Call, Client, Emit, Handler, Layer, Reply } from '../core/pipeline/call.ts';
import type { Events } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import type { ToolCatalog } from '../core/tools/catalog.ts';
import { matchesAny } from '../core/tools/glob.ts';
import { ListEdits } from '../core/tools/list-edit.ts';
import { fillTools } from '../core/tools/list-fetch.ts';

export const profileOptions = {
  profileTools: list({
    group: 'Endpoint and signing',
    placeholder: 'glob',
    separator: 'words',
    defaultText: '*',
    help: 'tools that take an aws_profile argument if --profile names several profiles',
  }),
} as const;

const ARGUMENT = 'aws_profile';

/**
 * Clients see the lists of the default profile, so list changes of other profiles are not passed
 * on.
 */
const ABOUT_LISTS = /^notifications\/(tools|prompts|resources)\/list_changed$/;

/** Remembered tasks; servers keep a task for minutes to hours. */
const MAX_TASKS = 1_000;
/** Tools whose shown definition is remembered. */
const MAX_SHOWN = 10_000;
/** Tools reported once; bounds servers that invent names. */
const MAX_REPORTED = 1_000;

export interface ProfileDeps {
  /** Two or more; the first is the default. */
  readonly profiles: readonly string[];
  /** Globs of the tools that take the argument; empty: all. */
  readonly globs: readonly string[];
  readonly toolsOf: (profile: string) => ToolCatalog;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * The owner of the argument `aws_profile`: the proxy, the tool, or none where the schema is no
 * object.
 */
type Owner = 'proxy' | 'tool' | 'nobody';

function ownerOf({ inputSchema: schema }: JsonObject): Owner {
  if (!isObject(schema) || schema.type !== 'object') return 'nobody';
  const { properties = {} } = schema;
  if (!isObject(properties)) return 'nobody';
  return Object.hasOwn(properties, ARGUMENT) ? 'tool' : 'proxy';
}

/**
 * The owner for each tool of the list. For duplicate names, the proxy owns it only if it does in
 * both.
 */
function ownersIn({ json }: Response): Map<string, Owner> {
  const owners = new Map<string, Owner>();
  const tools = isObject(json.result) && Array.isArray(json.result.tools) ? json.result.tools : [];
  for (const tool of tools) {
    if (!isObject(tool) || typeof tool.name !== 'string') continue;
    const before = owners.get(tool.name) ?? 'proxy';
    owners.set(tool.name, before === 'proxy' ? ownerOf(tool) : before);
  }
  return owners;
}

/** Declares the argument in the definition; valid under `additionalProperties: false` too. */
function withArgument(text: string, declaration: string): string {
  const schema = valueStartOf(text, 'inputSchema');
  if (schema === undefined) return text;
  const properties = valueStartOf(text, 'properties', schema);
  return properties === undefined
    ? insertMember(text, schema, 'properties', `{${JSON.stringify(ARGUMENT)}:${declaration}}`)
    : insertMember(text, properties, ARGUMENT, declaration);
}

/**
 * Lets a call choose its profile: adds the argument to tools/list, and removes it from tools/call.
 * Everything else uses the default profile.
 */
export function profile(deps: ProfileDeps): Layer {
  const { profiles, toolsOf, clock, events } = deps;
  const globs = deps.globs.length > 0 ? deps.globs : ['*'];
  const [defaultProfile = ''] = profiles;
  const declaration = JSON.stringify({
    type: 'string',
    enum: profiles,
    description: `AWS profile that this call uses; ${defaultProfile} where left out.`,
  });
  const tasks = new Tasks();
  const edits = new ListEdits();
  const shown = new Map<string, Owner>();
  const reported = new Set<string>();

  const isOurs = (name: string, owner: Owner): boolean => {
    if (owner === 'tool' && !reported.has(shortKey(name)) && reported.size < MAX_REPORTED) {
      reported.add(shortKey(name));
      events.emit({ type: 'tool.keeps-argument', tool: name, argument: ARGUMENT });
    }
    return owner === 'proxy';
  };

  const addArgument = (reply: Reply): Reply => {
    if (reply.kind !== 'answer') return reply;
    let owners: ReadonlyMap<string, Owner> | undefined;
    const message = edits.of(reply.message, ({ name }, text) => {
      owners ??= recordOwners(reply.message);
      const meant = typeof name === 'string' && matchesAny(globs, name);
      return meant && isOurs(name, owners.get(name) ?? 'nobody') ? withArgument(text, declaration) : text;
    });
    return message === reply.message ? reply : { ...reply, message };
  };

  /** Records the owners in a list that the client will see. */
  const recordOwners = (list: Response): ReadonlyMap<string, Owner> => {
    const owners = ownersIn(list);
    for (const [name, owner] of owners) {
      const key = shortKey(name);
      if (shown.size < MAX_SHOWN || shown.has(key)) shown.set(key, owner);
    }
    return owners;
  };

  /**
   * Returns the call for the chosen profile without the argument; unchanged where the argument is
   * not the proxy's.
   */
  const selectProfile = async (call: Call, request: Request, next: Handler): Promise<Call> => {
    const { name, arguments: given } = paramsOf(request);
    if (typeof name !== 'string' || !isObject(given) || !matchesAny(globs, name)) return call;
    const misspelled = misspelledIn(given);
    if (misspelled !== undefined && !declares(await findDefinition(name, call, next), misspelled)) {
      throw wrongCase(misspelled);
    }
    if (!Object.hasOwn(given, ARGUMENT)) return call;
    const wanted = given[ARGUMENT];
    const allowed = typeof wanted === 'string' && profiles.includes(wanted);
    const owner = await findOwner(name, allowed ? { ...call, profile: wanted } : call, next);
    if (!isOurs(name, owner)) return call;
    if (!allowed) throw unknownProfile(wanted, profiles);
    return { ...chosen(call, wanted), message: withoutArgument(request, ARGUMENT) };
  };

  /**
   * The definition that the client received decides. Without one, the server's list for the named
   * profile decides. Guessing could take a tool's own argument, or use the wrong identity.
   */
  const findOwner = async (name: string, call: Call, next: Handler): Promise<Owner> => {
    return shown.get(shortKey(name)) ?? ownerOf(await findDefinition(name, call, next));
  };

  const findDefinition = async (name: string, call: Call, next: Handler): Promise<JsonObject> => {
    const tools = toolsOf(call.profile);
    const known = tools.definitionOf(name) ?? toolsOf(defaultProfile).definitionOf(name);
    if (known) return known;
    if (!tools.complete) await fillTools(tools, next, call, clock).catch(rethrown);
    const found = tools.definitionOf(name);
    if (found) return found;
    throw tools.complete ? unlistedTool() : listChangedMeanwhile();
  };

  return (next) =>
    async function profile(arrived) {
      const { message } = arrived;
      const emit: Emit = async (below, origin) => {
        const foreign = origin.profile !== defaultProfile && below.kind === 'notification';
        if (!foreign || !ABOUT_LISTS.test(below.method)) await arrived.emit(below, origin);
      };
      const call: Call = { ...arrived, emit };
      if (message.kind === 'notification' && namesProfile(message)) throw unanswerable();
      if (message.kind !== 'request') return next(call);
      const { method } = message;
      if (method === 'tools/list') return addArgument(await next(call));
      if (method === 'tools/call') {
        const going = await selectProfile(call, message, next);
        const reply = await next(going);
        if (going.profile !== defaultProfile) tasks.note(call.client, reply, going.profile);
        return reply;
      }
      // A task belongs to the account that it was started in.
      const owner = method.startsWith('tasks/') ? tasks.profileOf(call.client, message) : undefined;
      return next(owner === undefined ? call : chosen(call, owner));
    };
}

/** The call for another profile; its record names the profile too. */
function chosen(call: Call, profile: string): Call {
  if (call.record) call.record.profile = profile;
  return { ...call, profile };
}

/** The cause would fail the call as well, and its text is clearer. */
function rethrown(error: unknown): never {
  const { cause } = error instanceof ProxyError ? error : { cause: undefined };
  throw cause instanceof ProxyError && cause.sent !== 'maybe' ? cause : error;
}

const unlistedTool = (): ProxyError =>
  new ProxyError(
    'unknown-tool',
    `The server lists no tool of this name, so the owner of the argument ${ARGUMENT} is unknown. The call was not sent. Leave ${ARGUMENT} out, or list the tools again.`,
    { sent: 'no' },
  );

const listChangedMeanwhile = (): ProxyError =>
  new ProxyError(
    'tools-unknown',
    `The server's list of tools changed while it was read, so the owner of the argument ${ARGUMENT} is unknown. The call was not sent; try again.`,
    { sent: 'no' },
  );

/** A tools/call notification: some servers run it, and it would run under another identity. */
const namesProfile = (message: Notification): boolean => {
  const { arguments: given } = paramsOf(message);
  if (message.method !== 'tools/call' || !isObject(given)) return false;
  return Object.hasOwn(given, ARGUMENT) || misspelledIn(given) !== undefined;
};

const FOLDED_ARGUMENT = foldCase(ARGUMENT);

/** An argument that differs from `aws_profile` in case only: its author meant another identity. */
const misspelledIn = (given: JsonObject): string | undefined =>
  Object.keys(given).find((key) => key !== ARGUMENT && foldCase(key) === FOLDED_ARGUMENT);

const declares = ({ inputSchema: schema }: JsonObject, argument: string): boolean =>
  isObject(schema) && isObject(schema.properties) && Object.hasOwn(schema.properties, argument);

const wrongCase = (given: string): ProxyError =>
  new ProxyError(
    'invalid-request',
    `Invalid request: the argument ${JSON.stringify(given)} differs from ${ARGUMENT} only in case. Write ${ARGUMENT} to choose the profile. The call was not sent.`,
    { sent: 'no' },
  );

const unanswerable = (): ProxyError =>
  new ProxyError('invalid-request', `Invalid request: a tools/call with ${ARGUMENT} must have an id.`, {
    sent: 'no',
  });

const LOOKS_LIKE_A_NAME = /^[\w@+.%:/-]{1,100}$/;

function unknownProfile(given: unknown, profiles: readonly string[]): ProxyError {
  // Other values may be sensitive, and the text is logged.
  const named = typeof given === 'string' && LOOKS_LIKE_A_NAME.test(given);
  const what = named ? `${ARGUMENT} ${JSON.stringify(given)} is not allowed` : `${ARGUMENT} is not valid`;
  return new ProxyError(
    'unknown-profile',
    `${what}: it must be one of ${profiles.join(', ')}, or left out for ${profiles[0]}. The call was not sent.`,
    { sent: 'no', details: { allowed: profiles } },
  );
}

/** Tasks of other profiles than the default, so that later task requests use the same profile. */
class Tasks {
  readonly #profiles = new Map<string, string>();

  note(client: Client, reply: Reply, profile: string): void {
    const result = reply.kind === 'answer' ? outlineJsonOf(reply.message).result : undefined;
    if (!isObject(result)) return;
    const { taskId } = isObject(result.task) ? result.task : result;
    if (typeof taskId !== 'string') return;
    this.#profiles.set(keyOf(client, taskId), profile);
    const [oldest] = this.#profiles.keys();
    if (this.#profiles.size > MAX_TASKS && oldest !== undefined) this.#profiles.delete(oldest);
  }

  profileOf(client: Client, request: Request): string | undefined {
    const { taskId } = paramsOf(request);
    return typeof taskId === 'string' ? this.#profiles.get(keyOf(client, taskId)) : undefined;
  }
}

const keyOf = (client: Client, taskId: string): string => shortKey(JSON.stringify([client.id, taskId]));
