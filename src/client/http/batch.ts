import { ProxyError } from '../../core/errors/errors.ts';
import { type Message, statedVersion } from '../../core/jsonrpc/message.ts';
import type { InvalidMessage } from '../../core/jsonrpc/parse.ts';
import { BATCH_REVISION } from '../../core/pipeline/call.ts';

/** Each member becomes one request to the server. */
const MAX_BATCH = 100;

/**
 * Returns why a batch is rejected, or undefined. Pure.
 * @param revision - the value of the request's `MCP-Protocol-Version` header.
 */
export function batchRefusal(
  elements: readonly (Message | InvalidMessage)[],
  revision: string | undefined,
): ProxyError | undefined {
  const claims = elements.some(
    (element) => element.kind !== 'invalid' && statedVersion(element) !== undefined,
  );
  if (claims || (revision !== undefined && revision !== BATCH_REVISION)) {
    return refusal(`batches exist in revision ${BATCH_REVISION} only; send the messages one by one`);
  }
  return elements.length > MAX_BATCH ? refusal(`a batch of more than ${MAX_BATCH} messages`) : undefined;
}

const refusal = (why: string): ProxyError =>
  new ProxyError('invalid-request', `Invalid request: ${why}.`, { sent: 'no' });
