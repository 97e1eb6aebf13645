import { toggle } from '../config/option.ts';
import { isObject, type JsonObject, type Message, paramsOf } from '../core/jsonrpc/message.ts';
import type { Layer } from '../core/pipeline/call.ts';

export const clientNameOptions = {
  disableTelemetry: toggle({
    group: 'Endpoint and signing',
    help: "leave the client's name and version out of the User-Agent header",
  }),
} as const;

/** A valid product token for the user agent, whatever the client's name. */
const toProductToken = (value: unknown): string =>
  typeof value === 'string'
    ? value
        .toLowerCase()
        .replace(/[^a-z0-9._+-]+/g, '-')
        .replace(/^-+|-+$/g, '')
        .slice(0, 64)
    : '';

/** From `initialize`, or from each stateless message. */
function clientInfoOf(message: Message): unknown {
  if (message.kind !== 'request') return undefined;
  const { clientInfo, _meta } = paramsOf(message);
  if (message.method === 'initialize') return clientInfo;
  return isObject(_meta) ? _meta['io.modelcontextprotocol/clientInfo'] : undefined;
}

/** Reads the client's name for the user agent of this and later requests. */
export function clientName(onProduct: (product: string) => void): Layer {
  let last: JsonObject = {};
  return (next) =>
    function clientName(call) {
      const info = clientInfoOf(call.message);
      // Most stateless messages repeat the same name.
      if (isObject(info) && (info.name !== last.name || info.version !== last.version)) {
        last = info;
        const name = toProductToken(info.name);
        const version = toProductToken(info.version);
        if (name) onProduct(version ? `${name}/${version}` : name);
      }
      return next(call);
    };
}
