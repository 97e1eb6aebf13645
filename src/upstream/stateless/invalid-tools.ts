import { shortKey } from '../../core/jsonrpc/short-key.ts';
import type { Reply } from '../../core/pipeline/call.ts';
import type { Events } from '../../core/pipeline/events.ts';
import { editTools } from '../../core/tools/list-edit.ts';
import { ANNOTATION, paramHeadersOf } from '../../core/tools/param-headers.ts';

/** Bound for servers that invent names. */
const MAX_REPORTED = 1_000;

/** Most lists have no annotation and need no schema walk. An escape may hide the key. */
const mayAnnotate = (text: string): boolean => text.includes(ANNOTATION) || text.includes('\\u');

/**
 * Removes tools whose `x-mcp-header` annotations are invalid, as MCP 2026-07-28 requires of HTTP
 * clients (Streamable HTTP, custom headers from tool parameters).
 */
export class InvalidTools {
  readonly #events: Events;
  readonly #reported = new Set<string>();

  constructor(events: Events) {
    this.#events = events;
  }

  removeFrom(reply: Reply, profile: string): Reply {
    if (reply.kind !== 'answer' || !mayAnnotate(reply.message.text)) return reply;
    const message = editTools(reply.message, (tool, text) => {
      const read = paramHeadersOf(tool);
      if (!('fault' in read)) return text;
      this.#report(profile, String(tool.name), read.fault);
      return undefined;
    });
    return message === reply.message ? reply : { ...reply, message };
  }

  /** Reported once per fault, because lists are read repeatedly. */
  #report(profile: string, name: string, reason: string): void {
    const key = shortKey(JSON.stringify([profile, name, reason]));
    if (this.#reported.has(key) || this.#reported.size >= MAX_REPORTED) return;
    this.#reported.add(key);
    this.#events.emit({ type: 'tool.invalid', profile, name: name.slice(0, 200), reason });
  }
}
