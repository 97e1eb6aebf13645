import { toggle } from '../config/option.ts';
import { ProxyError } from '../core/errors/errors.ts';
import { elementsOf, memberAt, spliceText } from '../core/jsonrpc/json-spans.ts';
import { isObject, paramsOf, type Request, type Response, statedVersion } from '../core/jsonrpc/message.ts';
import type { Call, Layer, Reply } from '../core/pipeline/call.ts';
import { resultReply } from '../core/pipeline/result.ts';
import { matchesAny } from '../core/tools/glob.ts';

export const whoamiOptions = {
  whoamiTool: toggle({
    group: 'Endpoint and signing',
    help: 'add a read-only tool whoami that returns profile, account, caller ARN, region and endpoint; named proxy_whoami if the server has a tool whoami',
  }),
} as const;

const NAME = 'whoami';
/** Used where the server has a tool named whoami, which keeps its name. */
const OTHER_NAME = 'proxy_whoami';
const ARGUMENT = 'aws_profile';

/** The identity that signs the calls of a profile. */
export interface Identity {
  /** Null: the default chain. */
  readonly profile: string | null;
  /** Null where requests are unsigned or the account is unknown. */
  readonly account: string | null;
  readonly arn: string | null;
  readonly region: string | null;
  readonly endpoint: string;
  /** Why a field is null. */
  readonly note?: string;
}

export interface WhoamiDeps {
  /** The profiles that a call may name; without several, the tool takes no argument. */
  readonly profiles: readonly string[];
  /** Globs of --deny-tool; a matching tool is neither listed nor answered. */
  readonly denied: readonly string[];
  /** Whether the server is known to list a tool of this name. */
  readonly isListed: (name: string, profile: string) => boolean;
  readonly identityOf: (profile: string, signal: AbortSignal) => Promise<Identity>;
}

/**
 * Adds the tool to the first page of tools/list, and answers calls of it. An agent can check the
 * account before it changes something.
 */
export function whoami(deps: WhoamiDeps): Layer {
  const { profiles, denied, isListed, identityOf } = deps;
  const isOurs = (name: unknown, profile: string): boolean =>
    (name === NAME || name === OTHER_NAME) && !matchesAny(denied, name) && !isListed(name, profile);

  const answered = async (call: Call, request: Request): Promise<Reply> => {
    const { arguments: given } = paramsOf(request);
    const wanted = isObject(given) ? given[ARGUMENT] : undefined;
    const allowed = wanted === undefined || (typeof wanted === 'string' && profiles.includes(wanted));
    if (!allowed) throw unknownProfile(profiles);
    const identity = await identityOf(typeof wanted === 'string' ? wanted : call.profile, call.signal);
    const result = {
      ...(statedVersion(request) === undefined ? {} : { resultType: 'complete' }),
      content: [{ type: 'text', text: JSON.stringify(identity) }],
      structuredContent: identity,
      isError: false,
    };
    return resultReply(request, JSON.stringify(result));
  };

  return (next) =>
    async function whoami(call) {
      const { message, profile } = call;
      if (message.kind !== 'request') return next(call);
      const { name, cursor } = paramsOf(message);
      if (message.method === 'tools/call' && isOurs(name, profile)) return answered(call, message);
      const reply = await next(call);
      if (message.method !== 'tools/list' || cursor !== undefined || reply.kind !== 'answer') return reply;
      const free = [NAME, OTHER_NAME].find((each) => !namesIn(reply.message).has(each));
      if (free === undefined || matchesAny(denied, free) || isListed(free, profile)) return reply;
      return { ...reply, message: withTool(reply.message, definitionOf(free, profiles)) };
    };
}

function definitionOf(name: string, profiles: readonly string[]): string {
  const [main] = profiles;
  const argument = {
    type: 'string',
    enum: profiles,
    description: `AWS profile to report on; ${main} where left out.`,
  };
  return JSON.stringify({
    name,
    title: 'AWS identity',
    description:
      'Returns the AWS profile, account, caller ARN, region and endpoint that the calls of this MCP server are signed with. Check them before you change anything.',
    inputSchema: { type: 'object', properties: profiles.length > 1 ? { [ARGUMENT]: argument } : {} },
    annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
  });
}

function namesIn({ json }: Response): Set<unknown> {
  const tools = isObject(json.result) && Array.isArray(json.result.tools) ? json.result.tools : [];
  return new Set(tools.map((tool: unknown) => (isObject(tool) ? tool.name : undefined)));
}

function withTool(message: Response, definition: string): Response {
  const span = memberAt(message.text, ['result', 'tools'])?.valueSpan;
  if (!span || message.text[span.start] !== '[') return message;
  const isEmpty = elementsOf(message.text.slice(span.start, span.end)).length === 0;
  const end = { start: span.end - 1, end: span.end - 1 };
  const text = spliceText(message.text, end, `${isEmpty ? '' : ','}${definition}`);
  return { ...message, text, json: JSON.parse(text) };
}

const unknownProfile = (profiles: readonly string[]): ProxyError =>
  new ProxyError(
    'unknown-profile',
    profiles.length > 1
      ? `${ARGUMENT} is not valid: it must be one of ${profiles.join(', ')}, or left out for ${profiles[0]}.`
      : `${ARGUMENT} is not valid: there is one profile, and the tool takes no argument.`,
    { sent: 'no', details: { allowed: profiles } },
  );
