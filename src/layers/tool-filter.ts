import { flagOf, list, type OptionValues, toggle } from '../config/option.ts';
import { isFixedByUser, ProxyError } from '../core/errors/errors.ts';
import { isObject, type JsonObject, paramsOf, type Response } from '../core/jsonrpc/message.ts';
import type { Call, Handler, Layer, Reply } from '../core/pipeline/call.ts';
import type { Events } from '../core/pipeline/events.ts';
import type { Clock } from '../core/time/clock.ts';
import { annotationsOf, type ToolAnnotations, type ToolCatalog } from '../core/tools/catalog.ts';
import { matchesAny, matchesGlob } from '../core/tools/glob.ts';
import { concernsOneClient, editTools, fillTools, ListEdits } from '../core/tools/list-edit.ts';

export const toolFilterOptions = {
  readOnly: toggle({
    group: 'Tools',
    common: true,
    help: 'show and call only tools with readOnlyHint: true, and tools that --allow-tool names',
  }),
  allowTool: list({
    group: 'Tools',
    common: true,
    placeholder: 'glob',
    separator: 'words',
    defaultText: 'all',
    help: 'show and call only tools that match; with --read-only, matching tools are allowed in addition to read-only tools',
  }),
  denyTool: list({
    group: 'Tools',
    common: true,
    placeholder: 'glob',
    separator: 'words',
    defaultText: 'none',
    help: 'never show or call tools that match; wins over --allow-tool and --read-only',
  }),
} as const;

export type ToolRules = OptionValues<typeof toolFilterOptions>;

/** The verdict on a tool, and the option that hides it. */
export type ToolVerdict = 'passes' | 'denied' | 'not-allowed' | 'not-read-only';

/** MCP allows 128. A longer name is no tool's: to match it against many globs takes long. */
const MAX_NAME_CHARACTERS = 1_024;

/**
 * With --read-only, --allow-tool adds tools; as a restriction it would have no effect there.
 * @returns undefined where it depends on whether the tool only reads.
 */
function judgeName({ readOnly, allowTool, denyTool }: ToolRules, name: string): ToolVerdict | undefined {
  if (name.length > MAX_NAME_CHARACTERS || matchesAny(denyTool, name)) return 'denied';
  if (matchesAny(allowTool, name)) return 'passes';
  if (readOnly) return undefined;
  return allowTool.length === 0 ? 'passes' : 'not-allowed';
}

export const judgeTool = (rules: ToolRules, name: string, onlyReads: boolean): ToolVerdict =>
  judgeName(rules, name) ?? (onlyReads ? 'passes' : 'not-read-only');

/** True without any filter option. */
export const isUnfiltered = ({ readOnly, allowTool, denyTool }: ToolRules): boolean =>
  !readOnly && allowTool.length === 0 && denyTool.length === 0;

/**
 * Judges each tool of a list. If two tools share a name, also on two pages, a call could run either
 * of them: both must only read. Pure.
 * @param known - what an earlier page or list says of a tool.
 */
function verdictsOn(
  { result }: JsonObject,
  rules: ToolRules,
  known: (name: string) => ToolAnnotations | undefined = () => undefined,
): Map<string, ToolVerdict> {
  const { tools } = isObject(result) ? result : {};
  const verdicts = new Map<string, ToolVerdict>();
  for (const tool of Array.isArray(tools) ? tools : []) {
    if (!isObject(tool) || typeof tool.name !== 'string') continue;
    const { name } = tool;
    const onlyReads = (): boolean =>
      verdicts.get(name) !== 'not-read-only' &&
      annotationsOf(tool).readOnly &&
      known(name)?.readOnly !== false;
    verdicts.set(name, judgeName(rules, name) ?? (onlyReads() ? 'passes' : 'not-read-only'));
  }
  return verdicts;
}

/**
 * The response with only those tools that the rules let through, for a list that reaches a client
 * past the layers: a stream that is resumed repeats it. Every other response stays as it is. Pure.
 */
export function visibleTools(response: Response, rules: ToolRules): Response {
  const verdicts = verdictsOn(response.json, rules);
  return editTools(response, ({ name }, text) =>
    typeof name === 'string' && verdicts.get(name) === 'passes' ? text : undefined,
  );
}

/**
 * True where a lenient server could take the method for one that the filter judges: after removing
 * case, compatibility forms, blanks and invisible characters. Pure.
 */
export function resemblesToolMethod(method: string): boolean {
  if (method === 'tools/call' || method === 'tools/list') return false;
  // The Kelvin sign and the long s fold to ASCII letters as well.
  const folded = method
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^a-z/]/g, '');
  return folded === 'tools/call' || folded === 'tools/list';
}

export interface ToolFilterDeps {
  readonly rules: ToolRules;
  readonly toolsOf: (profile: string) => ToolCatalog;
  /** True where the profile's next request may be signed by another identity than its last. */
  readonly isIdentityInDoubt: (profile: string) => boolean;
  readonly clock: Clock;
  readonly events: Events;
}

/** Maximum age of a list that --read-only relies on: a server may change a tool unannounced. */
const MAX_LIST_AGE_MS = 60_000;
/**
 * Minimum time between listings for unknown tools: an agent that invents names must not cause a
 * listing each time.
 */
const MIN_REFRESH_INTERVAL_MS = 5_000;
/** Faster failures are not remembered, so that a retry finds a recovered server. */
const SLOW_MS = 1_000;
/** Names in one line of the log. */
const MAX_NAMED = 50;

/**
 * Keeps tools that the options do not let through out of every list and every call. Where it cannot
 * tell, it does not let through.
 */
export function toolFilter(deps: ToolFilterDeps): Layer {
  return (next) => {
    const profiles = new Map<string, ProfileFilter>();
    return function toolFilter(call) {
      const { message, profile } = call;
      // Some servers run a tools/call that is sent as a notification.
      if (message.kind === 'response') return next(call);
      const { method } = message;
      if (method !== 'tools/list' && method !== 'tools/call') {
        if (resemblesToolMethod(method)) throw resembling(method);
        return next(call);
      }
      const filter = profiles.get(profile) ?? new ProfileFilter(deps, profile, next);
      profiles.set(profile, filter);
      return method === 'tools/list' ? filter.list(call) : filter.call(call);
    };
  };
}

/** The last listing for an unknown tool. */
interface LastRefresh {
  readonly at: number;
  readonly generation: number;
  readonly error: unknown;
}

class ProfileFilter {
  readonly #deps: ToolFilterDeps;
  readonly #profile: string;
  readonly #next: Handler;
  readonly #tools: ToolCatalog;
  readonly #edits = new ListEdits();
  #lastRefresh: LastRefresh | undefined;
  #globsChecked = false;
  #reportedAllHidden = false;

  constructor(deps: ToolFilterDeps, profile: string, next: Handler) {
    this.#deps = deps;
    this.#profile = profile;
    this.#next = next;
    this.#tools = deps.toolsOf(profile);
  }

  async list(call: Call): Promise<Reply> {
    const reply = await this.#next(call);
    if (reply.kind !== 'answer') return reply;
    const message = this.#edits.of(reply.message, this.#createEditor(reply.message));
    this.#reportOnce();
    return message === reply.message ? reply : { ...reply, message };
  }

  /** Judges the complete list once, on its first tool. */
  #createEditor(response: Response): (tool: JsonObject, text: string) => string | undefined {
    let verdicts: ReadonlyMap<string, ToolVerdict> | undefined;
    return ({ name }, text) => {
      verdicts ??= this.#judgeList(response);
      return typeof name === 'string' && verdicts.get(name) === 'passes' ? text : undefined;
    };
  }

  #judgeList({ json }: Response): ReadonlyMap<string, ToolVerdict> {
    const verdicts = verdictsOn(json, this.#deps.rules, (name) => this.#tools.annotationsOf(name));
    this.#report(verdicts);
    return verdicts;
  }

  async call(call: Call): Promise<Reply> {
    const { name } = paramsOf(call.message);
    if (typeof name !== 'string') {
      throw new ProxyError('invalid-request', 'Invalid request: tools/call must name its tool.', {
        sent: 'no',
      });
    }
    try {
      await this.#check(call, name);
    } catch (error) {
      if (isFiltered(error)) this.#reportFiltered(call, name, error);
      throw error;
    }
    return this.#next(call);
  }

  #reportFiltered({ client, profile }: Call, name: string, { reason }: ProxyError): void {
    const { address, token } = client;
    this.#deps.events.emit({
      type: 'tool.call-refused',
      profile,
      tool: name.slice(0, MAX_NAME),
      reason,
      address,
      token,
    });
  }

  /** @throws ProxyError where the call may not be sent. */
  async #check(call: Call, name: string): Promise<void> {
    const { rules } = this.#deps;
    const byName = judgeName(rules, name);
    // A refusal by name needs no list.
    if (byName !== undefined && byName !== 'passes') throw toolRefused(byName, name);
    // A server may match names more loosely, such as without case: only listed names are sent.
    const verdict = judgeTool(rules, name, await this.#onlyReads(call, name));
    if (verdict !== 'passes') throw toolRefused(verdict, name);
  }

  /**
   * @throws ProxyError where the server lists no tool of exactly this name, or its list cannot be
   * had now.
   */
  async #onlyReads(call: Call, name: string): Promise<boolean> {
    // Annotations belong to one identity: the next needs a new list first.
    if (this.#deps.isIdentityInDoubt(this.#profile)) this.#tools.invalidate({ identityChanged: true });
    const known = this.#currentAnnotations(name);
    if (known) return known.readOnly;
    await this.#refreshTools(call, name);
    this.#reportOnce();
    const found = this.#currentAnnotations(name);
    if (found) return found.readOnly;
    const gone = this.#tools.complete && this.#tools.annotationsOf(name) === undefined;
    throw gone ? unknownTool(name) : listChangedMeanwhile(name);
  }

  /** The annotations from a list that is recent enough for --read-only. */
  #currentAnnotations(name: string): ToolAnnotations | undefined {
    const at = this.#tools.listedAt(name);
    const old = at === undefined || this.#deps.clock.monotonic() - at > MAX_LIST_AGE_MS;
    return old && this.#deps.rules.readOnly ? undefined : this.#tools.annotationsOf(name);
  }

  async #refreshTools(call: Call, name: string): Promise<void> {
    const { clock } = this.#deps;
    const tools = this.#tools;
    const { generation } = tools;
    const last = this.#lastRefresh;
    if (last?.generation === generation && clock.monotonic() - last.at < MIN_REFRESH_INTERVAL_MS) {
      if (last.error !== undefined) throw last.error;
      if (tools.complete && tools.annotationsOf(name) === undefined) throw unknownTool(name);
    }
    const started = clock.monotonic();
    let error: unknown;
    try {
      await fillTools(tools, this.#next, call, clock);
    } catch (failure) {
      error = failure;
      throw failure;
    } finally {
      // Cancellations and lost sessions say nothing about other calls.
      const concernsOthers = !call.signal.aborted && !isFixedByUser(error) && !concernsOneClient(error);
      const at = clock.monotonic();
      const lasts = error === undefined || at - started >= SLOW_MS;
      if (concernsOthers && lasts) this.#lastRefresh = { at, generation, error };
    }
  }

  /** Reports unmatched globs and hidden tools, once. */
  #reportOnce(): void {
    const { rules, events } = this.#deps;
    const tools = this.#tools;
    if (!tools.complete) return;
    const profile = this.#profile;
    if (!this.#globsChecked) {
      this.#globsChecked = true;
      const names = [...tools.names];
      for (const key of ['allowTool', 'denyTool'] as const) {
        for (const glob of rules[key]) {
          if (names.some((name) => matchesGlob(glob, name))) continue;
          events.emit({ type: 'tools.glob-unmatched', profile, option: flagOf(key), glob });
        }
      }
    }
    if (this.#reportedAllHidden || tools.size === 0) return;
    for (const name of tools.names) {
      if (judgeTool(rules, name, tools.annotationsOf(name)?.readOnly ?? false) === 'passes') return;
    }
    this.#reportedAllHidden = true;
    events.emit({
      type: 'tools.all-hidden',
      profile,
      tools: tools.size,
      message: allHidden(rules, tools),
    });
  }

  #report(verdicts: ReadonlyMap<string, ToolVerdict>): void {
    const names: string[] = [];
    let more = 0;
    for (const [name, verdict] of verdicts) {
      if (verdict === 'passes') continue;
      if (names.length < MAX_NAMED) names.push(`${name} (${verdict})`);
      else more++;
    }
    if (names.length > 0) {
      this.#deps.events.emit({ type: 'tools.hidden', profile: this.#profile, names, more });
    }
  }
}

const WHY_HIDDEN: Readonly<Record<Exclude<ToolVerdict, 'passes'>, string>> = {
  denied: '--deny-tool matches it. To allow it, take that out of --deny-tool',
  'not-allowed': '--allow-tool does not name it. To allow it, add its name to --allow-tool',
  'not-read-only':
    'the server does not say that it only reads (readOnlyHint), and --read-only is on. To allow it all the same, name it with --allow-tool',
};

/** A client may send anything as a name, and errors are read by people. */
const MAX_NAME = 100;
const quoteName = (name: string): string =>
  JSON.stringify(name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}...` : name);

const resembling = (method: string): ProxyError =>
  new ProxyError(
    'invalid-request',
    `Invalid request: the method ${quoteName(method)} could be taken for tools/call or tools/list, which the settings of mcp-sigv4-proxy filter. Use the exact name of the method. The request was not sent.`,
    { sent: 'no' },
  );

const isFiltered = (error: unknown): error is ProxyError =>
  error instanceof ProxyError && (error.reason === 'tool-refused' || error.reason === 'unknown-tool');

const toolRefused = (verdict: Exclude<ToolVerdict, 'passes'>, name: string): ProxyError =>
  new ProxyError(
    'tool-refused',
    `The tool ${quoteName(name)} is not available: ${WHY_HIDDEN[verdict]} in the settings of mcp-sigv4-proxy and start it again. The call was not sent.`,
    { sent: 'no', details: { verdict } },
  );

const unknownTool = (name: string): ProxyError =>
  new ProxyError(
    'unknown-tool',
    `The server lists no tool ${quoteName(name)}. The call was not sent. List the tools again for the names there are.`,
    { sent: 'no' },
  );

const listChangedMeanwhile = (name: string): ProxyError =>
  new ProxyError(
    'tools-unknown',
    `The server's list of tools changed while it was read, so that the options cannot be applied to ${quoteName(name)} now. The call was not sent; try again.`,
    { sent: 'no' },
  );

function allHidden({ readOnly, allowTool }: ToolRules, tools: ToolCatalog): string {
  const [first = ''] = tools.names;
  if (!readOnly) {
    return allowTool.length > 0
      ? `--allow-tool and --deny-tool leave none of the server's ${tools.size} tools, such as ${quoteName(first)}: look at their globs.`
      : `--deny-tool hides all ${tools.size} tools of the server, such as ${quoteName(first)}: look at its globs.`;
  }
  return `--read-only hides all ${tools.size} tools of the server: it says of none that it only reads (readOnlyHint: true). Name those that you trust with --allow-tool, such as --allow-tool ${quoteName(first)}; globs like "get_*" work.`;
}
