import { toggle } from '../config/option.ts';
import { isObject, type JsonObject, type Message, paramsOf } from '../core/jsonrpc/message.ts';
import type { Layer } from '../core/pipeline/call.ts';

export const clientNameOptions = {
  disableTelemetry: toggle({
    group: 'Endpoint and signing',
    help: "leave the client's name and version out of the User-Agent header",
  }),
} as const;

/**
 * A product token as user agents are made of: whatever a client calls itself, no header can be
 * broken with it.
 */
const toProductToken = (value: unknown): string =>
  typeof value === 'string'
    ? value
        .toLowerCase()
        .replace(/[^a-z0-9._+-]+/g, '-')
        .replace(/^-+|-+$/g, '')
        .slice(0, 64)
    : '';

/** In `initialize`, or in every message of a revision without it. */
function clientInfoOf(message: Message): unknown {
  if (message.kind !== 'request') return undefined;
  const { clientInfo, _meta } = paramsOf(message);
  if (message.method === 'initialize') return clientInfo;
  return isObject(_meta) ? _meta['io.modelcontextprotocol/clientInfo'] : undefined;
}

/** Reads who the client is, for the user agent of this request and all that follow. */
export function clientName(onProduct: (product: string) => void): Layer {
  let last: JsonObject = {};
  return (next) =>
    function clientName(call) {
      const info = clientInfoOf(call.message);
      // Where every message says it, most say nothing new.
      if (isObject(info) && (info.name !== last.name || info.version !== last.version)) {
        last = info;
        const name = toProductToken(info.name);
        const version = toProductToken(info.version);
        if (name) onProduct(version ? `${name}/${version}` : name);
      }
      return next(call);
    };
}
