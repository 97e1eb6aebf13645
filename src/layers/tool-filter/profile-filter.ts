import { flagOf } from '../../config/option.ts';
import { isFixedByUser, ProxyError } from '../../core/errors/errors.ts';
import { type JsonObject, paramsOf, type Response } from '../../core/jsonrpc/message.ts';
import type { Call, Handler, Reply } from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import type { Clock } from '../../core/time/clock.ts';
import type { ToolAnnotations, ToolCatalog } from '../../core/tools/catalog.ts';
import { matchesGlob } from '../../core/tools/glob.ts';
import { ListEdits } from '../../core/tools/list-edit.ts';
import { concernsOneClient, fillTools } from '../../core/tools/list-fetch.ts';
import { type CatalogVersion, hasRecentHints, isOutdated } from '../../core/tools/list-version.ts';
import {
  allHidden,
  isFilterRefusal,
  listChangedMeanwhile,
  MAX_NAME_SHOWN,
  toolRefused,
  unknownTool,
} from './errors.ts';
import { judgeName, judgeTool, type ToolRules, type ToolVerdict, verdictsOn } from './rules.ts';

export interface ToolFilterDeps {
  readonly rules: ToolRules;
  readonly toolsOf: (profile: string) => ToolCatalog;
  /** True where the profile's next request may be signed by another identity than its last. */
  readonly isIdentityInDoubt: (profile: string) => boolean;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * Minimum time between listings for unknown tools: an agent that invents names must not cause a
 * listing each time.
 */
const MIN_REFRESH_INTERVAL_MS = 5_000;
/** Faster failures are not remembered, so that a retry finds a recovered server. */
const SLOW_MS = 1_000;
/** Names in one line of the log. */
const MAX_NAMED = 50;

/** The last listing for an unknown tool. */
interface LastRefresh {
  readonly at: number;
  readonly version: CatalogVersion;
  readonly error: unknown;
}

/** The filter of one profile's tools. */
export class ProfileFilter {
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
      if (isFilterRefusal(error)) this.#reportFiltered(call, name, error);
      throw error;
    }
    return this.#next(call);
  }

  #reportFiltered({ client, profile }: Call, name: string, { reason }: ProxyError): void {
    const { address, token } = client;
    this.#deps.events.emit({
      type: 'tool.call-refused',
      profile,
      tool: name.slice(0, MAX_NAME_SHOWN),
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
    const { rules, clock } = this.#deps;
    const recent = hasRecentHints(this.#tools.listedAt(name), clock.monotonic());
    return rules.readOnly && !recent ? undefined : this.#tools.annotationsOf(name);
  }

  async #refreshTools(call: Call, name: string): Promise<void> {
    const { clock } = this.#deps;
    const tools = this.#tools;
    const { version } = tools;
    const last = this.#lastRefresh;
    const isRecent = last && clock.monotonic() - last.at < MIN_REFRESH_INTERVAL_MS;
    if (isRecent && !isOutdated(last.version, version)) {
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
      if (concernsOthers && lasts) this.#lastRefresh = { at, version, error };
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
