import type { Layer } from '../core/call.ts';
import { isObject, paramsOf } from '../core/message.ts';
import { toggle } from '../core/options.ts';

export const clientNameOptions = {
  disableTelemetry: toggle({
    group: 'Endpoint and signing',
    help: "leave the client's name and version out of the user agent",
  }),
} as const;

/** A product token as user agents are made of: whatever a client calls itself, no header can be broken with it. */
const token = (value: unknown): string =>
  typeof value === 'string'
    ? value
        .toLowerCase()
        .replace(/[^a-z0-9._+-]+/g, '-')
        .replace(/^-+|-+$/g, '')
        .slice(0, 64)
    : '';

/** Reads who the client is from its `initialize`, for the user agent of this request and all that follow. */
export function clientName(learned: (product: string) => void): Layer {
  return (next) =>
    function clientName(call) {
      if (call.message.kind === 'request' && call.message.method === 'initialize') {
        const { clientInfo } = paramsOf(call.message);
        const name = isObject(clientInfo) ? token(clientInfo.name) : '';
        const version = isObject(clientInfo) ? token(clientInfo.version) : '';
        if (name) learned(version ? `${name}/${version}` : name);
      }
      return next(call);
    };
}
