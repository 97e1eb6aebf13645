import { list } from '../config/option.ts';
import { isSecretName, variableName } from '../config/secrets.ts';
import type { Request } from '../core/jsonrpc/message.ts';
import { type MetaFields, withMeta } from '../core/jsonrpc/meta-edit.ts';
import { takesMeta } from '../core/jsonrpc/takes-meta.ts';
import { type Call, type Layer, type Reply, spanOfCall, withMessage } from '../core/pipeline/call.ts';
import { hasEarlyContext } from '../core/pipeline/span.ts';

export const metadataOptions = {
  metadata: list({
    group: 'Endpoint and signing',
    placeholder: 'key=value',
    separator: 'entries',
    defaultText: 'AWS_REGION=<operating region>, if one is known',
    check: (entry) => (/^[^=]+=/.test(entry) ? undefined : `must be key=value, not "${entry}"`),
    secrets: (entry) => {
      const at = entry.indexOf('=');
      const key = entry.slice(0, at);
      return isSecretName(key) ? [{ start: at + 1, end: entry.length, variable: variableName(key) }] : [];
    },
    help: 'metadata merged into params._meta of every request; a key that the client sent wins',
  }),
} as const;

/** Splits entries at their first "="; a later entry of the same key wins. */
export const readMetadata = (entries: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    entries.map((entry) => {
      const at = entry.indexOf('=');
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );

/**
 * Adds AWS_REGION and --metadata to `_meta`, per profile: AWS's servers read their operating region
 * there. Where calls are traced, the same edit adds the trace context.
 */
export function metadata(additionsOf: (profile: string) => MetaFields | Promise<MetaFields>): Layer {
  return (next) =>
    function metadata(call) {
      const { message, profile } = call;
      const takes = takesMeta(message);
      // Members of a batch must pass in one turn, so all of them wait alike.
      if (!takes && !call.batch) return next(call);
      const add = (additions: MetaFields): Promise<Reply> =>
        next(takes ? withAdditions(call, message, additions) : call);
      const additions = additionsOf(profile);
      return additions instanceof Promise ? additions.then(add) : add(additions);
    };
}

function withAdditions(call: Call, request: Request, additions: MetaFields): Call {
  const span = spanOfCall(call);
  const context = span && hasEarlyContext(request, span) ? span.carrierOfCall() : undefined;
  if (context) return withMessage(call, withMeta(request, additions, context));
  return Object.keys(additions).length > 0 ? withMessage(call, withMeta(request, additions)) : call;
}
